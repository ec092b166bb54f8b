"""Parts that pages share: opening the zoo, the address, claims, models, prose."""
