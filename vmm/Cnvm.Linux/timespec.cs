using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

[Abi("time.h", "struct timespec")]
public struct timespec
{
    public long tv_sec;
    public long tv_nsec;
}
