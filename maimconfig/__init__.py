"""MaimConfig: the control plane and chat backend of multi-tenant AI chatbots."""

__version__ = "0.1.0"
