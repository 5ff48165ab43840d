# SPDX-License-Identifier: Apache-2.0
"""The addresses of the panel."""

from django.urls import path

from pci_passthrough_dashboard.content.admin.pci_devices import views

urlpatterns = [
    path('', views.IndexView.as_view(), name='index'),
    path('<uuid:device_id>/', views.DetailView.as_view(), name='detail'),
    path(
        '<uuid:device_id>/<str:action>/',
        views.ActionView.as_view(),
        name='act',
    ),
]
