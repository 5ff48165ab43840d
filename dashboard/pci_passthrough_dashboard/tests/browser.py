# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, and what a user does with it."""

import os
import pathlib
import shutil
from typing import Any
from typing import Final

import fixtures
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support import ui

from pci_passthrough_dashboard.tests import stack as stack_mod

#: The folder for screenshots; none are made without it.
SCREENSHOTS: Final = os.environ.get('PCI_PASSTHROUGH_SCREENSHOTS')

#: Seconds until a page is there on a busy machine.
_PATIENCE: Final = 60

_OPTIONS: Final = (
    '--headless=new',
    # The tests may run as root, with their own pages only.
    '--no-sandbox',
    '--disable-dev-shm-usage',
    '--disable-gpu',
    '--hide-scrollbars',
    '--window-size=1180,800',
    # No service of the browser's maker is asked.
    '--disable-background-networking',
    '--disable-component-update',
    '--no-first-run',
)


class Browser(fixtures.Fixture):
    """A browser in which one user is logged in.

    :param user: the name; None means that nobody is.
    """

    def __init__(self, stack: stack_mod.Stack, user: str) -> None:
        super().__init__()
        self._stack = stack
        self._user = user

    def _setUp(self) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which('chromium') or 'chromium'
        for option in _OPTIONS:
            options.add_argument(option)
        # Pictures and tests are in one language everywhere.
        options.add_argument('--lang=en-US')
        profile = self.useFixture(fixtures.TempDir()).path
        options.add_argument(f'--user-data-dir={profile}')
        driver = shutil.which('chromedriver') or 'chromedriver'
        self.driver = webdriver.Chrome(
            options=options, service=webdriver.ChromeService(driver)
        )
        self.addCleanup(self.driver.quit)
        self.driver.set_page_load_timeout(_PATIENCE)
        self._log_in()

    def _log_in(self) -> None:
        self.open('/auth/login/')
        self.write('username', self._user)
        self.write('password', self._stack.site.password)
        self.driver.find_element(By.ID, 'loginBtn').click()
        self.wait(
            expected_conditions.presence_of_element_located(
                (By.CSS_SELECTOR, 'nav.navbar')
            )
        )

    def open(self, path: str) -> None:
        """Open a page of Horizon."""
        self.driver.get(f'{self._stack.url}{path}')

    def wait(self, condition: Any) -> Any:
        """Wait until a condition of selenium is true; return its result."""
        return ui.WebDriverWait(self.driver, _PATIENCE).until(condition)

    def find(self, selector: str) -> Any:
        """Return the first element that a CSS selector means, once there."""
        return self.wait(
            expected_conditions.presence_of_element_located(
                (By.CSS_SELECTOR, selector)
            )
        )

    def all(self, selector: str) -> list[Any]:
        """Return all elements that a CSS selector means now."""
        return list(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements that a CSS selector means now."""
        return [element.text for element in self.all(selector)]

    def wait_for_text(self, selector: str, text: str) -> None:
        """Wait until what a CSS selector means contains a text."""
        self.wait(
            expected_conditions.text_to_be_present_in_element(
                (By.CSS_SELECTOR, selector), text
            )
        )

    @staticmethod
    def cells(row: Any) -> list[Any]:
        """Return the cells of a row of a table, without its header."""
        return list(row.find_elements(By.TAG_NAME, 'td'))

    @property
    def text(self) -> str:
        """The text of the page."""
        return str(self.driver.find_element(By.TAG_NAME, 'body').text)

    def write(self, name: str, text: str) -> None:
        """Write into the field of a form that has a name."""
        field = self.find(f'[name="{name}"]')
        field.clear()
        field.send_keys(text)

    def choose(self, name: str, value: str) -> None:
        """Choose a value of a list."""
        # An event as from a user, for what scripts show.
        self.driver.execute_script(
            'arguments[0].value = arguments[1];'
            'arguments[0].dispatchEvent('
            "new Event('change', {bubbles: true}));",
            self.find(f'select[name="{name}"]'),
            value,
        )

    def tick(self, name: str) -> None:
        """Tick a box of a form, or untick it."""
        # Horizon hides the box behind its label.
        self.driver.execute_script(
            'arguments[0].click();', self.find(f'[name="{name}"]')
        )

    def click(self, selector: str) -> None:
        """Click on what a CSS selector means."""
        self.wait(
            expected_conditions.element_to_be_clickable(
                (By.CSS_SELECTOR, selector)
            )
        ).click()

    def leave(self, selector: str) -> None:
        """Click on what opens another page, and wait until it is there."""
        page = self.driver.find_element(By.TAG_NAME, 'html')
        self.click(selector)
        self.wait(expected_conditions.staleness_of(page))
        self.wait(
            lambda driver: (
                driver.execute_script('return document.readyState')
                == 'complete'
            )
        )

    def picture(self, name: str) -> None:
        """Save a screenshot, if a folder for it is given."""
        if SCREENSHOTS:
            folder = pathlib.Path(SCREENSHOTS)
            folder.mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(folder / f'{name}.png'))
