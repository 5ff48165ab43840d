// SPDX-License-Identifier: Apache-2.0
// Shows the effect of a form while the user writes. Without scripts the
// button "Preview" does the same.
(function () {
  'use strict';

  var PAUSE = 400;
  var timer = null;
  var last = 0;

  function preview(form) {
    var target = document.getElementById(form.dataset.pciPreview);
    var data = new FormData(form);
    var number = last += 1;
    fetch('?preview=1&fragment=1', {method: 'POST', body: data, credentials: 'same-origin'})
      .then(function (response) {
        return response.ok ? response.text() : Promise.reject(response);
      })
      .then(function (html) {
        // An answer that was overtaken by a newer one is dropped.
        if (number === last) {
          target.innerHTML = html;
        }
      })
      .catch(function () {
        // The button is still there.
      });
  }

  function later(event) {
    var form = event.target.closest('form[data-pci-preview]');
    if (form) {
      window.clearTimeout(timer);
      timer = window.setTimeout(preview, PAUSE, form);
    }
  }

  document.addEventListener('input', later);
  document.addEventListener('change', later);
}());
