# SPDX-License-Identifier: Apache-2.0
"""The addresses of the panel."""

from django.urls import path

from pci_passthrough_dashboard.content.admin.pci_hosts import views

urlpatterns = [
    path('', views.IndexView.as_view(), name='index'),
    path('<str:host>/forget/', views.ForgetView.as_view(), name='forget'),
]
