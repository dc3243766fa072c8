using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>A two-operand arithmetic operation, on the host and in software.</summary>
internal interface IFloatArithmetic
{
    static abstract Vector128<float> Host(Vector128<float> a, Vector128<float> b);

    static abstract Vector128<double> Host(Vector128<double> a, Vector128<double> b);

    static abstract float Host(float a, float b);

    static abstract double Host(double a, double b);

    static abstract ulong Soft(ref SoftFloat m, FloatFormat f, ulong a, ulong b);

    /// <summary>Certain that no rounding happened; operands are zero or normal, and the result is normal.</summary>
    static abstract bool IsExact(float a, float b, float r);

    static abstract bool IsExact(double a, double b, double r);
}

internal static class Exactness
{
    /// <summary>Knuth's two-sum: the rounding error of an addition is a floating-point number, and here it is zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfSum(float a, float b, float s)
    {
        float t = s - a;
        return (a - (s - t)) + (b - t) == 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfSum(double a, double b, double s)
    {
        double t = s - a;
        return (a - (s - t)) + (b - t) == 0;
    }

    /// <summary>The product of two odd significands needs as many bits as both have, or one less.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfProduct(double a, double b)
    {
        int zerosA = BitOperations.TrailingZeroCount(BitConverter.DoubleToUInt64Bits(a) | (1ul << 52));
        int zerosB = BitOperations.TrailingZeroCount(BitConverter.DoubleToUInt64Bits(b) | (1ul << 52));
        return zerosA + zerosB >= 53;
    }
}

internal readonly struct FloatAdd : IFloatArithmetic
{
    public static Vector128<float> Host(Vector128<float> a, Vector128<float> b) => a + b;

    public static Vector128<double> Host(Vector128<double> a, Vector128<double> b) => a + b;

    public static float Host(float a, float b) => a + b;

    public static double Host(double a, double b) => a + b;

    public static ulong Soft(ref SoftFloat m, FloatFormat f, ulong a, ulong b) => m.Add(f, a, b);

    public static bool IsExact(float a, float b, float r) => Exactness.OfSum(a, b, r);

    public static bool IsExact(double a, double b, double r) => Exactness.OfSum(a, b, r);
}

internal readonly struct FloatSubtract : IFloatArithmetic
{
    public static Vector128<float> Host(Vector128<float> a, Vector128<float> b) => a - b;

    public static Vector128<double> Host(Vector128<double> a, Vector128<double> b) => a - b;

    public static float Host(float a, float b) => a - b;

    public static double Host(double a, double b) => a - b;

    public static ulong Soft(ref SoftFloat m, FloatFormat f, ulong a, ulong b) => m.Subtract(f, a, b);

    public static bool IsExact(float a, float b, float r) => Exactness.OfSum(a, -b, r);

    public static bool IsExact(double a, double b, double r) => Exactness.OfSum(a, -b, r);
}

internal readonly struct FloatMultiply : IFloatArithmetic
{
    public static Vector128<float> Host(Vector128<float> a, Vector128<float> b) => a * b;

    public static Vector128<double> Host(Vector128<double> a, Vector128<double> b) => a * b;

    public static float Host(float a, float b) => a * b;

    public static double Host(double a, double b) => a * b;

    public static ulong Soft(ref SoftFloat m, FloatFormat f, ulong a, ulong b) => m.Multiply(f, a, b);

    public static bool IsExact(float a, float b, float r) => (double)a * b == r;

    public static bool IsExact(double a, double b, double r) => Exactness.OfProduct(a, b);
}

internal readonly struct FloatDivide : IFloatArithmetic
{
    public static Vector128<float> Host(Vector128<float> a, Vector128<float> b) => a / b;

    public static Vector128<double> Host(Vector128<double> a, Vector128<double> b) => a / b;

    public static float Host(float a, float b) => a / b;

    public static double Host(double a, double b) => a / b;

    public static ulong Soft(ref SoftFloat m, FloatFormat f, ulong a, ulong b) => m.Divide(f, a, b);

    public static bool IsExact(float a, float b, float r) => (double)r * b == a;

    public static bool IsExact(double a, double b, double r) => Exactness.OfProduct(r, b) && r * b == a;
}

/// <summary>Square root of the second operand.</summary>
internal readonly struct FloatSquareRoot : IFloatArithmetic
{
    public static Vector128<float> Host(Vector128<float> a, Vector128<float> b) => Sse.Sqrt(b);

    public static Vector128<double> Host(Vector128<double> a, Vector128<double> b) => Sse2.Sqrt(b);

    public static float Host(float a, float b) => MathF.Sqrt(b);

    public static double Host(double a, double b) => Math.Sqrt(b);

    public static ulong Soft(ref SoftFloat m, FloatFormat f, ulong a, ulong b) => m.SquareRoot(f, b);

    public static bool IsExact(float a, float b, float r) => (double)r * r == b;

    public static bool IsExact(double a, double b, double r) => Exactness.OfProduct(r, r) && r * r == b;
}
