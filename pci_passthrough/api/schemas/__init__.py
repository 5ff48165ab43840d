# SPDX-License-Identifier: Apache-2.0
"""JSON schemas (2020-12) of requests and answers: one file a noun.

They validate requests, and the OpenAPI document is generated from them.
"""
