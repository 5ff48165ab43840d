# SPDX-License-Identifier: Apache-2.0
"""Long lists: a filter in the address, and a link to the next page."""

from typing import Any
from typing import Final

from django import forms
from horizon import messages
from horizon import tables

from pci_passthrough_dashboard import api

#: The items of a page.
SIZE: Final = 50


class FilterForm(forms.Form):
    """A filter; its fields are parameters of the API."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs['class'] = 'form-control'


class FilteredTable(tables.DataTable):
    """A table whose link to the next page keeps the filter."""

    def get_pagination_string(self) -> str:
        """Return the query of the next page."""
        query = self.request.GET.copy()
        query[self._meta.pagination_param] = self.get_marker()
        return str(query.urlencode())


class FilteredView(tables.DataTableView):
    """A list with a form for its filter; the form's fields are the query.

    :cvar filter_class: the form.
    :cvar method: the method of the Proxy that lists.
    """

    template_name = 'pci_passthrough_dashboard/list.html'
    filter_class: type[FilterForm]
    method: str

    def get_data(self) -> list[Any]:
        """Return the items of the page; an error becomes a message."""
        self.filter = self.filter_class(self.request.GET or None)
        self._more = False
        if self.filter.is_bound and not self.filter.is_valid():
            return []
        query = self.filter.cleaned_data if self.filter.is_bound else {}
        try:
            items, self._more = api.service(self.request).page(
                self.method,
                SIZE,
                marker=self.request.GET.get('marker'),
                **query,
            )
        except api.ServiceError as error:
            messages.error(self.request, str(error))
            return []
        return list(items)

    def has_more_data(self, table: Any) -> bool:
        """Return whether there is another page."""
        return self._more

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the form."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return context | {'filter': self.filter}
