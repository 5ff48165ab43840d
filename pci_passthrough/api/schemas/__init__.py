# SPDX-License-Identifier: Apache-2.0
"""JSON schemas (2020-12) of requests and answers: one file a noun.

The same ones validate requests and make the OpenAPI document.
"""
