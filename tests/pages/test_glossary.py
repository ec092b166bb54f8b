"""Glossary and reading: terms and their pages, sources, and links that set up the Lab."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from pages.parts.glossary import TERMS
from pages.parts.lab_settings import settings_from_query
from pages.parts.navigation import VIEWS
from pages.parts.open_problems import PROBLEMS, Problem
from pages.parts.sources import SOURCES, cited
from pages.parts.term_pages import (
    EXPLAINED_ON,
    NOT_ON_A_PAGE,
    REFERENCE,
    pages_by_term,
    terms_in,
)
from superposition.geometry import represented, solution_name
from tests.pages.conftest import Visit, anchors, headings, shown_text
from training.live import LiveSettings, train_live

PAGE = REFERENCE
FILES = {view.file for view in VIEWS}
READING_LIST = (
    "https://dynalist.io/d/n2ZWtnoYHrU1s4vnFSAQ519J#z=3br1psLRIjQCOv2T4RN3V6F2",
    "https://transformer-circuits.pub/2022/toy_model/index.html",
    "https://www.alignmentforum.org/posts/o6ptPu7arZrqRCxyz/"
    "200-cop-in-mi-exploring-polysemanticity-and-superposition",
    "https://arena3-chapter1-transformer-interp.streamlit.app/%5B1.4%5D_Superposition_&_SAEs",
    "https://transformer-circuits.pub/2023/toy-double-descent/index.html",
)


# The page


def test_it_opens_on_every_term_from_a_to_z(visit: Visit) -> None:
    app = visit(PAGE)
    assert not app.exception
    assert not app.info
    assert headings(app) == sorted(TERMS, key=str.lower)
    assert len(set(anchors(app))) == len(TERMS)
    assert all(re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", anchor) for anchor in anchors(app))
    unused = sum("No page uses it so far" in caption.value for caption in app.caption)
    assert unused == len(set(TERMS) - set(pages_by_term()))


def test_terms_are_found_by_name_first_then_by_definition(visit: Visit) -> None:
    app = visit(PAGE, find="Antipodal")
    assert app.text_input(key="find").value == "Antipodal"
    shown = headings(app)
    assert shown[0] == "antipodal pair"
    assert "dimensionality" in shown
    assert "seed" not in shown
    app.text_input(key="find").set_value("seed").run()
    assert headings(app)[0] == "seed"


def test_a_text_in_no_term_gets_a_notice(visit: Visit) -> None:
    app = visit(PAGE, find="*[x](y)*<b>")
    assert not app.exception
    assert not headings(app)
    assert "No term and no definition" in app.info[0].value
    assert "[x]" not in app.info[0].value


def test_reading_and_problems_have_addresses_of_their_own(visit: Visit) -> None:
    app = visit(PAGE, part="reading")
    assert not app.exception
    for one in SOURCES.values():
        assert one.address in shown_text(app)
    app.button_group(key="part").select("open problems").run()
    assert not app.exception
    for problem in PROBLEMS:
        assert f"**{problem.title}**" in shown_text(app)
    lab = [link for link in app.get("page_link") if "Set the Lab up" in link.proto.label]
    assert len(lab) == len(PROBLEMS)


def test_a_bad_part_gets_a_notice_and_the_glossary(visit: Visit) -> None:
    app = visit(PAGE, part="appendix")
    assert "appendix" in app.info[0].value
    assert "sparsity" in headings(app)


# Terms


def test_terms_are_read_off_the_source_of_a_page() -> None:
    source = 'prose("A [[seed]] and [[norm|norms]].")\nhelp=term("ReLU"), help_for(\n"bias")'
    assert terms_in(source) == {"seed", "norm", "ReLU", "bias"}
    assert terms_in("x[[0, 1]] and terms") <= {"0, 1"}


def test_every_term_on_a_page_exists_and_every_term_is_on_a_page() -> None:
    assert set(pages_by_term()) <= set(TERMS)
    assert set(TERMS) - set(pages_by_term()) <= NOT_ON_A_PAGE <= set(TERMS)


def test_pages_named_as_explaining_a_term_use_it() -> None:
    for name, file in EXPLAINED_ON.items():
        assert pages_by_term()[name][0].file == file, name


# Sources


def test_the_reading_list_is_complete_and_in_order() -> None:
    assert tuple(one.address for one in SOURCES.values() if one.listed) == READING_LIST


def test_sources_are_told_apart_and_lead_to_pages() -> None:
    addresses = [one.address for one in SOURCES.values()]
    assert len(set(addresses)) == len(addresses)
    assert len({one.title for one in SOURCES.values()}) == len(addresses)
    for one in SOURCES.values():
        assert one.address.startswith("https://")
        assert set(one.pages) <= FILES, one.title


def test_a_source_is_cited_by_its_name() -> None:
    title, address, why = cited("toy-models", "why")
    assert (title, address, why) == ("Toy Models of Superposition", READING_LIST[1], "why")
    with pytest.raises(KeyError, match="no source 'nothing'"):
        cited("nothing", "why")


# Open problems


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.title)
def test_a_link_to_the_lab_gives_back_the_settings(problem: Problem) -> None:
    settings, messages = settings_from_query(problem.query)
    assert messages == ()
    assert settings == problem.settings
    assert settings == LiveSettings(**problem.changed)


def trained(settings: LiveSettings) -> list[np.ndarray]:
    """Encoders (m, n) of the models of a run, in order of their seeds."""
    now = train_live(settings).wait(120)
    assert now.state == "finished"
    family = settings.model_family
    return [family.encoder(now.frames[-1].model(b)) for b in range(settings.seeds)]


def by_title(words: str) -> LiveSettings:
    (settings,) = (problem.settings for problem in PROBLEMS if words in problem.title)
    return settings


def test_some_seeds_find_the_pentagon_and_some_do_not() -> None:
    names = [solution_name(W) for W in trained(by_title("pentagon"))]
    assert 0 < names.count("pentagon") < len(names)


def test_the_optimisers_differ_in_what_they_align() -> None:
    settings = by_title("optimiser")

    def upright(optimiser: str) -> int:
        """Squares within 5° of the axes."""
        count = 0
        for W in trained(replace(settings, optimiser=optimiser)):  # type: ignore[arg-type]
            angles = np.degrees(np.arctan2(W[1], W[0])) % 90
            square = solution_name(W) == "two antipodal pairs"
            count += square and bool((np.minimum(angles, 90 - angles) < 5).all())
        return count

    # By chance one square in nine stands so.
    assert upright("rmsprop") >= 5
    assert upright("sgd") <= 3


def test_a_rare_feature_stays_out_and_a_frequent_one_gets_in() -> None:
    settings = by_title("rare feature")
    assert not any(represented(W)[4] and represented(W).all() for W in trained(settings))
    even = replace(settings, densities=(0.2,))
    assert any(represented(W).all() for W in trained(even))


def test_eight_features_form_no_cube() -> None:
    names = [solution_name(W) for W in trained(by_title("eight features"))]
    assert "square antiprism" in names


def test_a_large_learning_rate_loses_features() -> None:
    settings = by_title("learning rate")
    kept = [int(represented(W).sum()) for W in trained(settings)]
    usual = [int(represented(W).sum()) for W in trained(replace(settings, learning_rate=0.1))]
    assert sum(usual) > sum(kept)
