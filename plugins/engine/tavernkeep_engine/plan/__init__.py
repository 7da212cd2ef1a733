"""A submitted graph becomes a `Plan`: what it is made of (`types`), its edges (`binding`, `links`), the compiler, and what comes before."""
