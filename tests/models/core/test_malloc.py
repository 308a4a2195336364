import subprocess
import sys

import pytest

CHURN = """
import resource, sys
import numpy as np
from models.core.malloc import keep_freed_memory, release_freed_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

def churn():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones((100, 1 << 17))  # 100 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

churn()
given = churn()
keep_freed_memory()
churn()
kept, full = churn(), resident()
release_freed_memory()
print(given, kept, full - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of glibc")
def test_memory_that_is_kept_is_not_cleared_anew_and_goes_back_in_the_end():
    done = subprocess.run([sys.executable, "-c", CHURN], capture_output=True, text=True, check=True)
    given, kept, back = (int(word) for word in done.stdout.split())
    assert kept < given / 50, "pages of blocks that were freed before are not asked for again"
    assert back > 90e6
