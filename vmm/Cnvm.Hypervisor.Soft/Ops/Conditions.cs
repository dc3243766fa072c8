using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Soft.Core;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>A branch condition, specialised where the translator knows what set the flags.</summary>
internal unsafe interface ICondition
{
    static abstract bool Test(Cpu* c);
}

internal interface INumber
{
    static abstract int Value { get; }
}

internal readonly unsafe struct AnyCondition<TNumber> : ICondition
    where TNumber : struct, INumber
{
    public static bool Test(Cpu* c) => StatusFlags.Condition(c, TNumber.Value);
}

/// <summary>After CMP, SUB or NEG: both operands are known, so the condition is one comparison.</summary>
internal readonly unsafe struct AfterSub<TNumber> : ICondition
    where TNumber : struct, INumber
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(Cpu* c)
    {
        ulong res = c->CcRes;
        ulong b = c->CcSrc;
        ulong a = res + b;
        return TNumber.Value switch
        {
            0 => (long)((a ^ b) & (a ^ res)) < 0,
            1 => (long)((a ^ b) & (a ^ res)) >= 0,
            2 => a < b,
            3 => a >= b,
            4 => res == 0,
            5 => res != 0,
            6 => a <= b,
            7 => a > b,
            8 => (long)res < 0,
            9 => (long)res >= 0,
            10 => StatusFlags.Parity(c),
            11 => !StatusFlags.Parity(c),
            12 => (long)a < (long)b,
            13 => (long)a >= (long)b,
            14 => (long)a <= (long)b,
            _ => (long)a > (long)b,
        };
    }
}

/// <summary>After AND, OR, XOR or TEST: CF and OF are clear.</summary>
internal readonly unsafe struct AfterLogic<TNumber> : ICondition
    where TNumber : struct, INumber
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(Cpu* c) =>
        TNumber.Value switch
        {
            0 or 2 => false,
            1 or 3 => true,
            4 or 6 => c->CcRes == 0,
            5 or 7 => c->CcRes != 0,
            8 or 12 => (long)c->CcRes < 0,
            9 or 13 => (long)c->CcRes >= 0,
            10 => StatusFlags.Parity(c),
            11 => !StatusFlags.Parity(c),
            14 => (long)c->CcRes <= 0,
            _ => (long)c->CcRes > 0,
        };
}

internal enum FlagSource
{
    Unknown,
    Sub,
    Logic,
}

internal static unsafe class Conditions
{
    /// <summary>The Jcc operation for a condition number and what is known to have set the flags.</summary>
    public static delegate*<Cpu*, Op*, nint> Jcc(int cc, FlagSource source) =>
        cc switch
        {
            0 => Pick<N0>(source),
            1 => Pick<N1>(source),
            2 => Pick<N2>(source),
            3 => Pick<N3>(source),
            4 => Pick<N4>(source),
            5 => Pick<N5>(source),
            6 => Pick<N6>(source),
            7 => Pick<N7>(source),
            8 => Pick<N8>(source),
            9 => Pick<N9>(source),
            10 => Pick<N10>(source),
            11 => Pick<N11>(source),
            12 => Pick<N12>(source),
            13 => Pick<N13>(source),
            14 => Pick<N14>(source),
            _ => Pick<N15>(source),
        };

    private static delegate*<Cpu*, Op*, nint> Pick<TNumber>(FlagSource source)
        where TNumber : struct, INumber =>
        source switch
        {
            FlagSource.Sub => &BranchOps.Jcc<AfterSub<TNumber>>,
            FlagSource.Logic => &BranchOps.Jcc<AfterLogic<TNumber>>,
            _ => &BranchOps.Jcc<AnyCondition<TNumber>>,
        };

    private readonly struct N0 : INumber { public static int Value => 0; }
    private readonly struct N1 : INumber { public static int Value => 1; }
    private readonly struct N2 : INumber { public static int Value => 2; }
    private readonly struct N3 : INumber { public static int Value => 3; }
    private readonly struct N4 : INumber { public static int Value => 4; }
    private readonly struct N5 : INumber { public static int Value => 5; }
    private readonly struct N6 : INumber { public static int Value => 6; }
    private readonly struct N7 : INumber { public static int Value => 7; }
    private readonly struct N8 : INumber { public static int Value => 8; }
    private readonly struct N9 : INumber { public static int Value => 9; }
    private readonly struct N10 : INumber { public static int Value => 10; }
    private readonly struct N11 : INumber { public static int Value => 11; }
    private readonly struct N12 : INumber { public static int Value => 12; }
    private readonly struct N13 : INumber { public static int Value => 13; }
    private readonly struct N14 : INumber { public static int Value => 14; }
    private readonly struct N15 : INumber { public static int Value => 15; }
}
