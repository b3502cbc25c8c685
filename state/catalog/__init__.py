"""The catalog: a product's onboarding as data.

``yaml_text`` reads YAML with positions, ``model`` and ``wording_schema`` define what a catalog may contain, ``parse`` reports faults.
``plan`` compiles a catalog for the fold, ``by_tenant`` finds the one of a tenant, and ``template`` fills the slots of its texts.
"""
