"""The course in a real browser: JupyterLab on work copies, every notebook run from top to bottom and looked at."""

import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from conftest import ROOT
from editions import METADATA
from jupyter_process import free_port, started
from tutorial_project.lab import workspace

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
MISSING = f"no {'chromium' if CHROMIUM is None else 'chromedriver'} is installed"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(os.name == "nt", reason="ends JupyterLab by its process group, which Windows does not have"),
]

# Menu clicks race with JupyterLab's own start; the application object does not.
RUN_ALL = """
const [path, keep, done] = arguments;
(async () => {
  const app = window.jupyterapp;
  await app.restored;
  const panel = await app.commands.execute('docmanager:open', {path: path, factory: 'Notebook'});
  await panel.context.ready;
  await panel.sessionContext.ready;
  // The command runs whichever notebook is in front, and the start page may come up late.
  for (let front = 0; front < 4;) {
    app.shell.activateById(panel.id);
    await new Promise(resolve => setTimeout(resolve, 250));
    front = app.shell.currentWidget === panel ? front + 1 : 0;
  }
  await app.commands.execute('notebook:run-all-cells');
  const cells = panel.content.model.sharedModel.cells.filter(cell => cell.cell_type === 'code');
  // It resolves at the first error, though cells after one that may fail are still to come.
  for (let idle = 0; idle < 4 && cells.some(cell => cell.execution_count === null);) {
    await new Promise(resolve => setTimeout(resolve, 250));
    idle = panel.sessionContext.session.kernel.status === 'idle' ? idle + 1 : 0;
  }
  const told = cells.map(cell => ({
    source: cell.getSource(), count: cell.execution_count, tags: (cell.getMetadata('tags') || []),
    outputs: cell.getOutputs().map(output => output.output_type),
    text: cell.getOutputs().map(output => (output.data || {})['text/plain'] || output.text || output.evalue).join(' '),
  }));
  if (!keep) await panel.sessionContext.shutdown();
  return told;
})().then(done, error => done('JupyterLab: ' + error));
"""
SHUT_DOWN = """
const done = arguments[0];
window.jupyterapp.shell.currentWidget.sessionContext.shutdown().then(() => done(null), error => done(String(error)));
"""
TOY = [
    "import ipywidgets\nipywidgets.Button(description='Press me')",
    "6 * 7",
    "1 / 0",
    "8 * 8",
]
LIVE = ["from tutorial_project.lab import boot\nlab = boot()", 'lab.show("/")']


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    workspace.fill(folder)
    nb = nbformat.v4.new_notebook(metadata=METADATA, cells=[nbformat.v4.new_code_cell(source) for source in TOY])
    nb.cells[2].metadata["tags"] = ["raises-exception"]
    nbformat.write(nb, folder / "toy.ipynb")
    nb = nbformat.v4.new_notebook(metadata=METADATA, cells=[nbformat.v4.new_code_cell(source) for source in LIVE])
    nbformat.write(nb, folder / "live.ipynb")
    return folder


@pytest.fixture(scope="module")
def browser(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with jupyterlab(work, tmp_path_factory.mktemp("home")) as chrome:
        yield chrome


@contextmanager
def jupyterlab(work: Path, home: Path, base: str = "/") -> Iterator[webdriver.Chrome]:
    """A browser on a JupyterLab of its own, whose addresses begin with `base`."""
    if CHROMIUM is None or DRIVER is None:
        if os.environ.get("CI") == "true" and sys.platform == "linux":
            pytest.fail(f"{MISSING}, and this is CI: .ci/run installs it")
        pytest.skip(MISSING)
    port = free_port()
    env = {**os.environ, "TUTORIAL_WORK": str(work), "TUTORIAL_PROGRESS": str(home / "progress.json")}
    env |= {"JUPYTER_CONFIG_DIR": str(home), "JUPYTER_DATA_DIR": str(home), "JUPYTERLAB_SETTINGS_DIR": str(home)}
    command = [sys.executable, "-m", "tutorial_project.lab", "open", "--no-browser", "--port", str(port)]
    command += ["--ServerApp.token=t", "--LabApp.expose_app_in_browser=True", "--ServerApp.port_retries=0"]
    command += [f"--ServerApp.base_url={base}"]
    options = Options()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1000"):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={home / 'chromium'}")
    with started(command, port, ROOT, env, 60, base):
        chrome = webdriver.Chrome(options=options, service=Service(DRIVER))
        try:
            chrome.set_script_timeout(110)  # the driver's own connection gives up after 120
            chrome.get(f"http://127.0.0.1:{port}{base}?token=t")
            until(chrome, "return !!(window.jupyterapp && document.querySelector('#jp-main-dock-panel'))")
            yield chrome
        finally:
            chrome.quit()


def until(chrome: webdriver.Chrome, script: str) -> Any:
    """Waits for the script to return something true, and returns it."""
    return WebDriverWait(chrome, 60).until(lambda driver: driver.execute_script(script))


def run_all(chrome: webdriver.Chrome, name: str, keep: bool = False) -> list[dict[str, Any]]:
    """What the code cells hold after Run All, a dict a cell: source, count, tags, outputs' types, text.

    The kernel is ended, unless it is to be kept."""
    told = chrome.execute_async_script(RUN_ALL, f"{name}.ipynb", keep)
    assert isinstance(told, list), told
    return told


def test_jupyterlab_opens_on_the_start_page_and_nothing_pops_up(browser: webdriver.Chrome, work: Path) -> None:
    page = workspace.start_page(work)
    if page:
        until(browser, f"return [...document.querySelectorAll('.lm-TabBar-tabLabel')].some(l => l.title == '{page}' "
                       f"|| l.textContent == '{page}')")  # fmt: skip
        assert browser.current_url.endswith(page)
    assert "news" not in " ".join(t.text.lower() for t in browser.find_elements(By.CSS_SELECTOR, ".Toastify__toast"))


def test_a_toy_runs_shows_its_widget_and_goes_on_after_its_error(browser: webdriver.Chrome) -> None:
    cells = run_all(browser, "toy")
    assert [cell["text"] for cell in cells][1] == "42"
    assert cells[2]["outputs"] == ["error"] and cells[3]["text"] == "64"
    button = until(browser, "return document.querySelector('.widget-button')")
    assert button.text == "Press me"


def shop_in_the_frame(chrome: webdriver.Chrome, base: str) -> None:
    """Runs `lab.show("/")`, and looks, clicks and buys in its frame; afterwards nobody listens there any more."""
    cells = run_all(chrome, "live", keep=True)
    assert cells[1]["text"] == "Live page of the shop: /"
    frame = until(chrome, "return document.querySelector('iframe[title=\"Live page of the shop: /\"]')")
    shop = re.fullmatch(rf"(http://127\.0\.0\.1:\d+{base}proxy/(\d+))/", frame.get_attribute("src"))
    assert shop
    address, port = shop[1], int(shop[2])
    chrome.switch_to.frame(frame)
    until(chrome, "return document.querySelector('h1')?.textContent == 'Welcome to the street of small stores'")
    assert chrome.execute_script("return getComputedStyle(document.querySelector('header.top')).display") == "flex"
    chrome.find_element(By.CSS_SELECTOR, "#popular a").click()
    until(chrome, "return document.querySelector('form.buy button')").click()
    assert until(chrome, "return document.querySelector('.badge')").text == "1"
    assert chrome.execute_script("return location.href") == f"{address}/cart/"
    chrome.find_element(By.CSS_SELECTOR, ".account a").click()
    until(chrome, "return document.querySelector('button[lang=de]')").click()
    until(chrome, "return document.querySelector('h1')?.textContent == 'Ihr Warenkorb'")
    assert chrome.execute_script("return location.href") == f"{address}/cart/"
    paths = {cookie["name"]: cookie["path"] for cookie in chrome.get_cookies()}
    ours = {paths[name] for name in ("sessionid", "csrftoken", "django_language")}
    assert ours == {f"{base}proxy/{port}/"}
    chrome.switch_to.default_content()
    assert chrome.execute_async_script(SHUT_DOWN) is None
    deadline = time.monotonic() + 10
    while listens(port):
        assert time.monotonic() < deadline, "the kernel is gone, and the shop's process is not"
        time.sleep(0.1)


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_a_live_page_of_the_shop_can_be_used(browser: webdriver.Chrome) -> None:
    shop_in_the_frame(browser, "/")


def test_a_live_page_of_the_shop_can_be_used_below_a_hubs_address(work: Path, tmp_path: Path) -> None:
    with jupyterlab(work, tmp_path, "/user/somebody/") as chrome:
        shop_in_the_frame(chrome, "/user/somebody/")


@pytest.mark.parametrize("name", workspace.names())
def test_the_notebook_runs_from_top_to_bottom(browser: webdriver.Chrome, name: str) -> None:
    cells = run_all(browser, name)
    assert [cell["count"] for cell in cells] == list(range(1, len(cells) + 1))
    failed = [c for c in cells if "error" in c["outputs"] and "raises-exception" not in c["tags"]]
    assert failed == []
