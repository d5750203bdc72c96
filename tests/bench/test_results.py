from bench.cases import Figures
from bench.plot import Panel, draw
from bench.results import Results
from bench.table import markdown_table, with_ratios


def figures(cpu: float, p99: float = 100) -> Figures:
    return Figures(queries_per_second=1000, cpu=cpu, mean=50, median=40, p99=p99, lost_share=0)


def test_each_figure_is_the_median_of_its_rounds():
    results = Results()
    for cpu, p99 in ((5, 300), (9, 100), (6, 200)):
        results.add("floor", "hit", figures(cpu, p99))
    median = results.median("floor", "hit")
    assert median is not None
    assert (median.cpu, median.p99) == (6, 200)


def test_a_server_that_was_never_measured_has_no_figures():
    assert Results().median("floor", "hit") is None


def test_spread_tells_how_far_the_rounds_lay_apart():
    results = Results()
    for cpu in (4, 5, 6):
        results.add("floor", "hit", figures(cpu))
    assert results.spread("floor", "hit") == 0.4


def test_a_figure_stands_with_its_ratios_to_the_floor_and_the_original():
    assert with_ratios(6, 4, 12) == "6.0 (1.50 f, 0.50 o)"


def test_a_base_that_was_not_measured_gives_no_ratio():
    assert with_ratios(6, None, 0) == "6.0"


def test_figures_stand_to_the_right():
    table = markdown_table(["server", "µs"], [["floor", "4.2"]])
    assert table == "| server | µs |\n| --- | ---: |\n| floor | 4.2 |\n"


def test_a_picture_is_well_formed_and_names_every_server():
    from xml.etree import ElementTree as ET

    panel = Panel(title="hit & run", unit="µs", bars=[("floor", 4.2), ("nodecache", None)])
    picture = ET.fromstring(draw("title", "machine <x>", [panel]))
    texts = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"hit & run", "machine <x>", "floor", "4.2", "nodecache"} <= set(texts)
