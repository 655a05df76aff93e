"""Searches: settings, workers, the driver, and the run directory that keeps everything."""

from nas.common.lazy import callable_module

callable_module(__name__, "nas.search.run:search")
