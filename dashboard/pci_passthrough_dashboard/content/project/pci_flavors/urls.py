# SPDX-License-Identifier: Apache-2.0
"""The addresses of the panel."""

from django.urls import path

from pci_passthrough_dashboard.content.project.pci_flavors import views

urlpatterns = [
    path('', views.IndexView.as_view(), name='index'),
    path('<str:pci_flavor_id>/', views.DetailView.as_view(), name='detail'),
    path('<str:pci_flavor_id>/port/', views.PortView.as_view(), name='port'),
]
