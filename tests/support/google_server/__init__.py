"""A local stand-in for Vertex AI's servers, which the real client libraries talk to over gRPC.

`server` serves and injects faults, `service` is what every service here is made of; each other file is one of Google's services,
with its resources in memory. The request and response types are google-cloud-aiplatform's own, so that whatever crosses the wire
is what would cross it on the way to Google. What is stated in Google's API reference (required fields, forms of names, what is
refused) is checked here; what only Google's servers know is not.

A further service is a further file: a subclass of `service.Service` with a method for each RPC, named and annotated as it is.
"""
