using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>
/// When the host's arithmetic gives what the guest's MXCSR asks for: rounding to nearest with all exceptions masked, on operands
/// that are zero or normal, with a normal result. Everything else is <see cref="SoftFloat"/>'s.
/// </summary>
internal static class FloatElements
{
    /// <summary>All exceptions masked, round to nearest, neither denormals-are-zero nor flush-to-zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsPlainControl(uint mxcsr) => (mxcsr & 0xffc0) == 0x1f80;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsZeroOrNormal(float v)
    {
        uint u = BitConverter.SingleToUInt32Bits(v) & 0x7fff_ffff;
        return u == 0 || u - 0x0080_0000 < 0x7f00_0000;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsZeroOrNormal(double v)
    {
        ulong u = BitConverter.DoubleToUInt64Bits(v) & 0x7fff_ffff_ffff_ffff;
        return u == 0 || u - 0x0010_0000_0000_0000 < 0x7fe0_0000_0000_0000;
    }

    /// <summary>Above the smallest normal number, which a tiny result may have been rounded to.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsSafeResult(float v) => (BitConverter.SingleToUInt32Bits(v) & 0x7fff_ffff) - 0x0080_0001 < 0x7eff_ffff;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsSafeResult(double v) =>
        (BitConverter.DoubleToUInt64Bits(v) & 0x7fff_ffff_ffff_ffff) - 0x0010_0000_0000_0001 < 0x7fdf_ffff_ffff_ffff;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool AllZeroOrNormal(Vector128<float> v)
    {
        Vector128<int> u = v.AsInt32() & Vector128.Create(0x7fff_ffff);
        Vector128<int> normal = Vector128.GreaterThan(u, Vector128.Create(0x007f_ffff)) & Vector128.LessThan(u,
            Vector128.Create(0x7f80_0000));
        return Vector128.ExtractMostSignificantBits(normal | Vector128.Equals(u, Vector128<int>.Zero)) == 0xf;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool AllZeroOrNormal(Vector128<double> v) => IsZeroOrNormal(v.GetElement(0)) && IsZeroOrNormal(v.GetElement(1));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool AllSafeResults(Vector128<float> v)
    {
        Vector128<int> u = v.AsInt32() & Vector128.Create(0x7fff_ffff);
        Vector128<int> normal = Vector128.GreaterThan(u, Vector128.Create(0x0080_0000)) & Vector128.LessThan(u,
            Vector128.Create(0x7f80_0000));
        return Vector128.ExtractMostSignificantBits(normal) == 0xf;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool AllSafeResults(Vector128<double> v) => IsSafeResult(v.GetElement(0)) && IsSafeResult(v.GetElement(1));
}
