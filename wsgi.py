"""The planes as WSGI apps, for any WSGI server: `wsgi:internal` and `wsgi:public`.

Both share one database and one set of counts in a process. Only `internal` may be reached by
services on the trusted network; `public` is for the world. A server may load this module and fork
afterwards.
"""

import atexit

from maimconfig import logs
from maimconfig.app import create_app
from maimconfig.runtime import Runtime
from maimconfig.settings import load_settings
from maimconfig.users.bootstrap import make_first_admin

settings = load_settings()
logs.configure(settings)
runtime = Runtime.open(settings)
make_first_admin(runtime)
atexit.register(runtime.close)
internal = create_app("internal", runtime)
public = create_app("public", runtime)
