"""The planes as WSGI apps, for any WSGI server: `wsgi:internal` and `wsgi:public`.

Both share one database and one set of counts in a process. Only `internal` may be reached by
services on the trusted network; `public` is for the world.
"""

from maimconfig.app import create_app
from maimconfig.runtime import Runtime
from maimconfig.settings import load_settings

runtime = Runtime.open(load_settings())
internal = create_app("internal", runtime)
public = create_app("public", runtime)
