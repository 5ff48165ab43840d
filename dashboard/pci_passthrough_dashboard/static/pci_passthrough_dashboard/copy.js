// SPDX-License-Identifier: Apache-2.0
// Buttons that copy a text: hidden without scripts, as they do nothing then.
(function () {
  'use strict';

  function copy(button) {
    var source = document.getElementById(button.dataset.pciCopy);
    var status = document.getElementById('pci-copy-status');
    var selection = window.getSelection();
    var range = document.createRange();
    range.selectNodeContents(source);
    selection.removeAllRanges();
    selection.addRange(range);
    // Works without HTTPS, where navigator.clipboard does not exist.
    if (document.execCommand('copy')) {
      button.textContent = button.dataset.pciCopied;
      status.textContent = button.dataset.pciCopied;
    }
  }

  document.addEventListener('DOMContentLoaded', function () {
    document.querySelectorAll('[data-pci-copy]').forEach(function (button) {
      button.classList.remove('hidden');
    });
  });
  document.addEventListener('click', function (event) {
    var button = event.target.closest('[data-pci-copy]');
    if (button) {
      copy(button);
    }
  });
}());
