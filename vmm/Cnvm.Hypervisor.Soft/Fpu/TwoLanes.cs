using System.Runtime.Intrinsics;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>The 256 bits of a YMM register, as two halves that every host can move.</summary>
internal struct TwoLanes
{
    public Vector128<byte> Low;
    public Vector128<byte> High;
}
