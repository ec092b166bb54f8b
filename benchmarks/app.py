"""How long does a reader wait? Every page in Chromium, beside a bare Streamlit page.

    python -m benchmarks.app [--only ADDRESS …] [--repeats N] [--json FILE]

Three things are measured, each inside the browser, on its own clock:

- first content: from the request for the address until the page's heading is there; and until
  its first figure is drawn;
- control to figure: from the reader's click or key until the figure that answers has come to rest.
  A click counts from the release of the button, which is when a control hears of it; how long the
  button is held down is the reader's affair;
- frames: while a slider that the browser answers is dragged a step a frame, how long each frame
  takes, its 95th percentile.

The bare page (`bare_page.py`) has one slider and one Altair chart, a line of twenty points. It is
visited in turn with ours, by the same browser, on a server of its own on the same machine. It runs
with Streamlit's own settings. What it would take with ours, which spare it the collection of
garbage after each run, stands below it, and is no measure for ours. A page of ours is held against
those visits of the bare page that were in turn with it, first content and control: in the minutes
that all pages take, the machine changes by more than pages differ.

First content is a median, controls are means. The bare page's answers have two heights: every
other one waits for that collection, and takes twice as long. Their median would be the one or the
other by chance.

Every slider of the app's figures is answered by the browser, and so are most switches. They are
found on the page, and each is held against the bare page's slider. Some choices bring other models,
and are answered by the server; one of each page that has some is measured. A figure of hundreds of
models takes its time on any page, so these are held against a second bare page
(`figures_page.py`) too: one slider, and the very figures that ours sends in answer, as ours sent
them. What ours takes longer than that is what the page around them costs, and this is what a limit
is set to.
"""

from __future__ import annotations

import argparse
import base64
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    TimeoutError,
    WebSocket,
    sync_playwright,
)
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.load import Server
from pages.parts.navigation import VIEWS
from tests.browser.chromium import ADVICE, FLAGS, find_chromium

HOME = "(home)"
MOST_TIMES = 1.3
MOST_FRAME = 50.0  # ms
PATIENCE = 60_000  # ms

FIGURES = ".vega-embed svg, .vega-embed canvas, .geometry svg"
MAIN = "[data-testid=stMainBlockContainer]"

# Notes when things first appear, when a control was used, and when a figure last changed.
WATCH = f"""
window.seen = {{}};
// Of one figure, `seen.of`, or of any.
const figure = (node) => (!seen.of || seen.of.contains(node))
  && node.closest?.(".vega-embed, .geometry, [data-testid=stVegaLiteChart]");
const watcher = new MutationObserver((changes) => {{
  const now = performance.now();
  seen.content ??= document.querySelector("{MAIN} h1") ? now : undefined;
  seen.figure ??= document.querySelector("{FIGURES}") ? now : undefined;
  for (const change of changes) {{
    const node = change.target instanceof Element ? change.target : change.target.parentElement;
    if (node && figure(node)) seen.changed = now;
  }}
}});
seen.watch = (root) => watcher.observe(
  root, {{ childList: true, subtree: true, attributes: true, characterData: true }});
seen.watch(document);
// A figure on a canvas that stays is drawn anew without a change of the document.
const clear = CanvasRenderingContext2D.prototype.clearRect;
CanvasRenderingContext2D.prototype.clearRect = function (...box) {{
  if (figure(this.canvas)) seen.changed = performance.now();
  return clear.apply(this, box);
}};
for (const kind of ["click", "keydown"])
  window.addEventListener(kind, () => {{ seen.used = performance.now(); }}, true);
"""
# Nothing is a grey placeholder any more, and no chart on the page is empty.
ALL_THERE = f"""() => !document.querySelector("{MAIN} [data-testid=stSkeleton]")
  && [...document.querySelectorAll("{MAIN} [data-testid=stVegaLiteChart]")]
    .every((chart) => !chart.checkVisibility() || chart.querySelector("svg, canvas"))"""
# Steps a slider once a frame from end to end and back; the milliseconds of each frame.
DRAG = """async (slider) => {
  const low = Number(slider.min), high = Number(slider.max);
  const step = Number(slider.step) || 1;
  const count = Math.min(Math.round((high - low) / step), 40);
  const values = [...Array(count + 1).keys()].map((k) => low + (k / count) * (high - low));
  const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
  const frame = () => new Promise(requestAnimationFrame);
  const start = slider.value, times = [];
  let before = await frame();
  for (const value of [...values, ...values.toReversed()]) {
    set.call(slider, String(value));
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    const now = await frame();
    times.push(now - before);
    before = now;
  }
  set.call(slider, start);
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  return times;
}"""
# Inputs that the browser answers: those of charts, and the sliders of the moving geometry, whose
# choice of models moves the arrows for more than half a second, on purpose. Of the options of one
# choice, those that are not chosen.
INPUTS = (
    f"{MAIN} .vega-bind :is(input:not(:checked, [type=checkbox]), [type=checkbox], select), "
    f"{MAIN} .geometry input[type=range]"
)
# The figure that an input belongs to, for `figure` above, and what the reader reads beside it.
FIGURE_OF = """input => {
  seen.of = input.closest(".vega-embed, .geometry");
  // The moving geometry is a document of its own.
  if (input.getRootNode() !== document) seen.watch(input.getRootNode());
}"""
LABEL_OF = """input => (input.getAttribute("aria-label")
  || input.closest(".vega-bind")?.querySelector(".vega-bind-name")?.textContent
  || input.labels?.[0]?.textContent || input.name).trim()"""
# Chooses the next option of a list.
NEXT = """list => {
  seen.used = performance.now();
  list.selectedIndex = (list.selectedIndex + 1) % list.options.length;
  list.dispatchEvent(new Event("change", { bubbles: true }));
}"""


@dataclass(frozen=True)
class Control:
    """A control that the server answers with a figure.

    Attributes:
        name: what the reader reads on it.
        use: works it once; each use changes the figure.
    """

    name: str
    use: Callable[[Page], None]


def option(first: str, second: str) -> Control:
    """Two options of a segmented control or pills, chosen in turn."""

    def use(page: Page) -> None:
        group = page.locator(MAIN).get_by_test_id("stButtonGroup")
        chosen = group.get_by_role("radio", name=second, exact=True)
        is_second = chosen.get_attribute("aria-checked") == "true"
        group.get_by_role("radio", name=first if is_second else second, exact=True).click()

    return Control(f"{first} / {second}", use)


def select(name: str, first: str, second: str) -> Control:
    """Two options of a list, chosen in turn. The choice counts, not the opening of the list."""

    def use(page: Page) -> None:
        box = page.locator(MAIN).get_by_role("combobox", name=name)
        is_second = box.input_value() == second
        wanted = page.get_by_role("option", name=first if is_second else second, exact=True)
        box.click()
        # Where a claim has been measured meanwhile, its part of the page is run and the list shut.
        while not wanted.is_visible():
            page.wait_for_timeout(200)
            if box.get_attribute("aria-expanded") != "true":
                box.click()
        wanted.click()

    return Control(f"{name}, {first} / {second}", use)


def slider(name: str) -> Control:
    """A Streamlit slider, a step up by key."""

    def use(page: Page) -> None:
        thumb = page.locator(MAIN).get_by_role("slider", name=name)
        thumb.focus()
        thumb.press(
            "ArrowRight" if float(thumb.get_attribute("aria-valuenow") or 0) < 1 else "ArrowLeft"
        )

    return Control(name, use)


BARE = slider("Slope")
# Settings of the app that change what a page costs, as Streamlit has them by itself.
DEFAULTS = ("--runner.postScriptGC", "true")
# What the server answers with a figure: a choice of each page. Those of the map of the sizes and of
# the first page are answered by the browser alone; the Lab, the models and the words have none.
CONTROLS: dict[str, Control] = {
    "features": option("5 × 2, linear", "5 × 2"),
    "bottleneck": option("ReLU", "linear"),
    "packing": option("100", "200"),
    "privileged_basis": select("Plane of the neurons", "1 and 2", "2 and 3"),
    "rotation": option("the transpose, Rᵀ", "the inverse, R⁻¹"),
    "two_kinds": select("Take away neuron", "none", "3"),
    "polysemanticity": option("5", "6"),
}


class Recorder:
    """Notes the figures that a server sends to a page, by their place on it."""

    def __init__(self, page: Page) -> None:
        self.figures: dict[tuple[int, ...], Element] = {}
        self._large: dict[str, ForwardMsg] = {}
        page.on("websocket", self._listen)

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._take)

    def _take(self, data: str | bytes) -> None:
        if isinstance(data, str):
            return
        message = ForwardMsg.FromString(data)
        place = tuple(message.metadata.delta_path)
        # What the browser has seen before is not sent again, only its name.
        if message.WhichOneof("type") == "ref_hash":
            message = self._large[message.ref_hash]
        self._large[message.hash] = message
        if message.delta.new_element.WhichOneof("type") == "vega_lite_chart":
            self.figures[place] = message.delta.new_element

    def answered(self) -> dict[tuple[int, ...], dict[str, Any]]:
        """The figures since the last call, ready for JSON."""
        found = {
            place: {
                "spec": json.loads(element.vega_lite_chart.spec),
                "tables": {
                    table.name: base64.b64encode(table.data.data).decode()
                    for table in element.vega_lite_chart.datasets
                },
                "width": element.width_config.pixel_width or "stretch",
            }
            for place, element in self.figures.items()
        }
        self.figures.clear()
        return found


@dataclass
class Row:
    """What was measured of one page, in milliseconds; None where it has no such thing.

    `beside` and `line` are the first content and the control of the bare page in the visits in turn
    with this one's, `alone` what a bare page with the same figures takes to show them. `inputs` and
    `frames` are of those that the browser answers, by what stands beside them.
    """

    address: str
    used: str = ""
    content: list[float] = field(default_factory=list)
    figure: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    line: list[float] = field(default_factory=list)
    control: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    inputs: dict[str, list[float]] = field(default_factory=dict)
    frames: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


def arrive(
    context: BrowserContext, address: str, row: Row | None = None, page: Page | None = None
) -> Page:
    """Open a page afresh, and note when its heading and its first figure are there.

    row: where that is noted; nowhere for a visit that does not count.
    """
    row = row or Row(address)
    page = page or context.new_page()
    page.add_init_script(WATCH)
    page.on("pageerror", lambda error: row.errors.append(str(error)))
    page.goto(address)
    page.wait_for_function("seen.content !== undefined", timeout=PATIENCE)
    settle(page)
    row.content.append(page.evaluate("seen.content"))
    figure = page.evaluate("seen.figure ?? null")
    if figure is not None:
        row.figure.append(figure)
    return page


def settle(page: Page) -> None:
    """Until the script has finished, every figure is there, and none has changed for a while."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(
        timeout=PATIENCE
    )
    page.wait_for_function(ALL_THERE, timeout=PATIENCE)
    page.wait_for_function(
        "performance.now() - Math.max(seen.changed ?? 0, seen.used ?? 0) > 400", timeout=PATIENCE
    )


def time_control(page: Page, control: Control, times: int) -> list[float]:
    """Milliseconds from use to rest, so many times.

    Raises:
        RuntimeError: if a use changed no figure.
    """
    unanswered = f"{page.url}: no figure follows {control.name!r}"
    waited = []
    for _ in range(times):
        page.evaluate("seen.changed = undefined")
        control.use(page)
        try:
            page.wait_for_function("seen.changed > seen.used", timeout=PATIENCE)
        except TimeoutError as error:
            raise RuntimeError(unanswered) from error
        settle(page)
        waited.append(page.evaluate("seen.changed - seen.used"))
    return waited


def keep_figures(context: BrowserContext, address: str, control: Control, file: Path) -> None:
    """Write to `file` what the page's server answers to two uses of a control.

    Raises:
        RuntimeError: if no figure follows the control.
    """
    page = context.new_page()
    recorder = Recorder(page)
    arrive(context, address, page=page)
    recorder.answered()  # those of the page as it opens
    states = []
    for _ in range(2):
        time_control(page, control, 1)
        states.append(recorder.answered())
    page.close()
    # Without those of another part of the page that was run meanwhile, such as a new claim's.
    places = sorted(set(states[0]) & set(states[1]))
    told = [[state[place] for place in places] for state in states]
    if told[0] == told[1]:
        raise RuntimeError(f"{address}: no figure follows {control.name}")
    file.write_text(json.dumps(told), encoding="utf-8")


def use_input(place: int, page: Page) -> None:
    """Once, so that its figure changes: a key on a slider, a click, or the next option."""
    at = page.locator(INPUTS).filter(visible=True).nth(place)
    kind = at.evaluate("input => input.type")
    if kind == "range":
        low, high, value = at.evaluate("input => [input.min, input.max, input.value].map(Number)")
        at.focus()
        at.press("ArrowRight" if value - low < high - value else "ArrowLeft")
    elif kind == "select-one":
        at.evaluate(NEXT)
    else:
        at.click()


def time_inputs(page: Page, row: Row, drag: bool) -> None:
    """Use every input that the browser answers twice, and note how long its figure takes.

    drag: also drag the sliders, and note the frames.
    """
    found = page.locator(INPUTS).filter(visible=True)
    labels: list[str] = []
    for place in range(found.count()):
        # Of a choice, another option once one was chosen.
        at = found.nth(place)
        at.scroll_into_view_if_needed()
        settle(page)
        labels.append(at.evaluate(LABEL_OF))
        count = labels.count(labels[-1])
        label = labels[-1] if count == 1 else f"{labels[-1]} ({count})"
        at.evaluate(FIGURE_OF)
        waited = time_control(page, Control(label, partial(use_input, place)), 2)
        row.inputs.setdefault(label, []).extend(waited)
        if drag and at.evaluate("input => input.type") == "range":
            row.frames[label] = at.evaluate(DRAG)
            settle(page)
        page.evaluate("seen.of = undefined")


@dataclass(frozen=True)
class Servers:
    """Addresses: of the app, of the bare page, with our settings too, and of its figures alone.

    What is to be shown of a page's figures goes into `folder`.
    """

    ours: str
    bare: str
    as_ours: str
    figures: str
    folder: Path


def measure(browser: Browser, servers: Servers, only: Sequence[str], repeats: int) -> list[Row]:
    """The bare page's row, the same with our settings, then one for each page of the app."""
    ours, bare = servers.ours, servers.bare
    base, as_ours = Row("the bare page", BARE.name), Row("with our settings", BARE.name)
    rows = [
        Row(view.address or HOME)
        for view in VIEWS
        if view.exists and (not only or (view.address or HOME) in only)
    ]
    with ExitStack() as stack:
        contexts = []
        for _ in range(2):
            context = browser.new_context(viewport={"width": 1280, "height": 1000})
            context.set_default_timeout(PATIENCE)
            stack.callback(context.close)
            contexts.append(context)
        bare_context, our_context = contexts
        # The first visit of each fills the browser's cache and the server's.
        for context, address in ((bare_context, bare), (our_context, ours)):
            arrive(context, address).close()
        for repeat in range(repeats + 1):
            page = arrive(bare_context, servers.as_ours, as_ours if repeat else None)
            if repeat:
                as_ours.control += time_control(page, BARE, 3)
            page.close()
        for place, row in enumerate(rows):
            address = f"{ours}/{'' if row.address == HOME else row.address}"
            control = CONTROLS.get(row.address)
            arrive(our_context, address).close()
            alone = ""
            if control is not None:
                row.used = control.name
                file = servers.folder / f"{place}.json"
                keep_figures(our_context, address, control, file)
                alone = f"{servers.figures}/?of={place}"
                arrive(bare_context, alone).close()
            for repeat in range(repeats):
                page = arrive(bare_context, bare, base)
                row.beside.append(base.content[-1])
                row.line += time_control(page, BARE, 6)
                page.close()
                if alone:
                    page = arrive(bare_context, alone)
                    row.alone += time_control(page, BARE, 4)
                    page.close()
                page = arrive(our_context, address, row)
                if control is not None:
                    row.control += time_control(page, control, 4)
                # They take a frame or two: two visits tell enough.
                if repeat < 2:
                    time_inputs(page, row, drag=repeat == 0)
                page.close()
            base.control += row.line
            print(f"  {row.address}", file=sys.stderr, flush=True)
    return [base, as_ours, *rows]


def median(values: Sequence[float]) -> float | None:
    """Of what there is; None of nothing."""
    return statistics.median(values) if values else None


def mean(values: Sequence[float]) -> float | None:
    """Of what there is; None of nothing."""
    return statistics.fmean(values) if values else None


def slowest(row: Row) -> tuple[str, float] | None:
    """The input that the browser takes longest to answer, and the mean of that."""
    times = {label: statistics.fmean(waited) for label, waited in row.inputs.items()}
    return max(times.items(), key=lambda item: item[1]) if times else None


def high(frames: Sequence[float]) -> float:
    """The 95th percentile."""
    return float(np.percentile(frames, 95))


def cell(value: float | None, than: float | None = None) -> str:
    """Milliseconds, and how many times `than` that is."""
    if value is None:
        return "–"
    return f"{value:,.0f} ms" if than is None else f"{value:,.0f} ms ({value / than:.2f}×)"


def verdicts(rows: Sequence[Row]) -> list[str]:
    """What is slower than it may be."""
    late: list[str] = []
    for row in rows[2:]:
        line = mean(row.line)
        for name, ours, bare, what in (
            ("first content", median(row.content), median(row.beside), "the bare page"),
            (f"{row.used} to figure", mean(row.control), mean(row.alone), "its figures alone"),
            *(
                (f"{label} to figure", mean(waited), line, "the bare page")
                for label, waited in row.inputs.items()
            ),
        ):
            if ours is not None and bare is not None and ours > MOST_TIMES * bare:
                late.append(f"{row.address}: {name} takes {ours / bare:.2f} times {what}")
        late += [
            f"{row.address}: {label}: 95 % of frames take up to {high(frames):.0f} ms"
            for label, frames in row.frames.items()
            if high(frames) > MOST_FRAME
        ]
        late += [f"{row.address}: {error}" for error in row.errors]
    return list(dict.fromkeys(late))


def print_table(rows: Sequence[Row]) -> None:
    """All pages, the bare one first; then every input that the browser answers."""
    base = rows[0]
    table = [
        (
            "page",
            "first content",
            "first figure",
            "inputs",
            "slowest to figure",
            "frames, p95",
            "server's choice to figure",
            "alone",
            "",
        )
    ]
    for row in rows:
        content, line = median(row.beside or base.content), mean(row.line or base.control)
        most = slowest(row)
        ours, alone = mean(row.control), mean(row.alone)
        bare = row is base
        table.append(
            (
                row.address,
                cell(median(row.content), None if bare else content),
                cell(median(row.figure), None if bare else median(base.figure)),
                str(len(row.inputs) or "–"),
                cell(most[1] if most else None, line),
                cell(max(map(high, row.frames.values()), default=None)),
                cell(ours, None if bare else line),
                "–" if alone is None or ours is None else f"{alone:,.0f} ms ({ours / alone:.2f}×)",
                row.used,
            )
        )
    print_columns(table)
    print("\nAnswered by the browser:")
    print_columns(
        [
            (
                f"  {row.address}",
                label,
                cell(mean(waited), mean(row.line)),
                f"frames {high(row.frames[label]):.0f} ms" if label in row.frames else "",
            )
            for row in rows
            for label, waited in row.inputs.items()
        ]
    )


def print_columns(table: Sequence[Sequence[str]]) -> None:
    """Lines of text, one under the other."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve both, visit every page, print the table; status 1 if something is too slow."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.app", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument("--only", nargs="+", default=(), metavar="ADDRESS", help="some pages")
    parser.add_argument("--repeats", type=int, default=5, help="visits of each page")
    parser.add_argument("--json", type=Path, help="also write every number to this file")
    options = parser.parse_args(arguments)
    executable = find_chromium()
    if executable is None:
        print(ADVICE, file=sys.stderr)
        return 1
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = []
        bare_page, figures_page = "benchmarks/bare_page.py", "benchmarks/figures_page.py"
        for script, settings in (
            ("app.py", ()),
            (bare_page, DEFAULTS),
            (bare_page, ()),
            (figures_page, (*DEFAULTS, "--", str(folder))),
        ):
            servers.append(Server(folder / "server.log", script, settings))
            stack.callback(servers[-1].stop)
            servers[-1].wait()
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        stack.callback(browser.close)
        ours, bare, as_ours, figures = (f"http://127.0.0.1:{one.port}" for one in servers)
        addresses = Servers(ours, bare, as_ours, figures, folder)
        rows = measure(browser, addresses, options.only, options.repeats)
    print_table(rows)
    if options.json:
        options.json.write_text(
            json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8"
        )
    late = verdicts(rows)
    print("\n".join(late) if late else "every page within its limits")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
