# SPDX-License-Identifier: Apache-2.0
"""The addresses of the panel."""

from django.urls import path

from pci_passthrough_dashboard.content.admin.pci_flavors import views

urlpatterns = [
    path('', views.IndexView.as_view(), name='index'),
    path('create/', views.CreateView.as_view(), name='create'),
    path('<str:pci_flavor_id>/', views.DetailView.as_view(), name='detail'),
    path(
        '<str:pci_flavor_id>/update/',
        views.UpdateView.as_view(),
        name='update',
    ),
    path(
        '<str:pci_flavor_id>/share/', views.ShareView.as_view(), name='share'
    ),
    path(
        '<str:pci_flavor_id>/delete/',
        views.DeleteView.as_view(),
        name='delete',
    ),
]
