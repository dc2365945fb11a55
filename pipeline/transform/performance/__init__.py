"""How well plants work: figures by IEC 61724-1, what the sun allows, and the energy that is lost."""
