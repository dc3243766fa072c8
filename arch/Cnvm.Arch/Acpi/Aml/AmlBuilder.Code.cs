namespace Cnvm.Arch.Acpi.Aml;

/// <content>Statements and expressions: what stands inside methods.</content>
public static partial class AmlBuilder
{
    /// <summary><c>ArgN</c>, 0 to 6.</summary>
    public static AmlTerm Arg(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)index, 6u, nameof(index));
        return Raw((byte)(AmlOpcode.Arg0 + index));
    }

    /// <summary><c>LocalN</c>, 0 to 7.</summary>
    public static AmlTerm Local(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)index, 7u, nameof(index));
        return Raw((byte)(AmlOpcode.Local0 + index));
    }

    /// <summary>A call: the method's name followed by its arguments. Their number must match the method's declaration.</summary>
    public static AmlTerm Call(string method, params AmlTerm[] arguments) => new AmlSequence(0, [Path(method), .. arguments]);

    /// <summary><c>If (condition) {...}</c>.</summary>
    public static AmlTerm If(AmlTerm condition, params AmlTerm[] body) => new AmlBlock(AmlOpcode.If, [condition], body);

    /// <summary><c>Else {...}</c>: belongs directly behind an <see cref="If"/>.</summary>
    public static AmlTerm Else(params AmlTerm[] body) => new AmlBlock(AmlOpcode.Else, None, body);

    /// <summary><c>While (condition) {...}</c>.</summary>
    public static AmlTerm While(AmlTerm condition, params AmlTerm[] body) => new AmlBlock(AmlOpcode.While, [condition], body);

    /// <summary><c>Break</c> out of the innermost loop.</summary>
    public static AmlTerm Break() => new AmlSequence(AmlOpcode.Break);

    /// <summary><c>Return (value)</c>.</summary>
    public static AmlTerm Return(AmlTerm value) => new AmlSequence(AmlOpcode.Return, value);

    /// <summary><c>target = value</c>.</summary>
    public static AmlTerm Store(AmlTerm value, AmlTerm target) => new AmlSequence(AmlOpcode.Store, value, target);

    /// <summary><c>Notify (target, value)</c>.</summary>
    public static AmlTerm Notify(AmlTerm target, AmlTerm value) => new AmlSequence(AmlOpcode.Notify, target, value);

    /// <summary><c>Acquire (mutex, timeout)</c>; the timeout is in milliseconds, 0xFFFF waits for ever.</summary>
    public static AmlTerm Acquire(string mutex, ushort timeout = ushort.MaxValue) =>
        new AmlSequence(AmlOpcode.Acquire, Path(mutex), Raw((byte)timeout, (byte)(timeout >> 8)));

    /// <summary><c>Release (mutex)</c>.</summary>
    public static AmlTerm Release(string mutex) => new AmlSequence(AmlOpcode.Release, Path(mutex));

    /// <summary><c>target++</c>.</summary>
    public static AmlTerm Increment(AmlTerm target) => new AmlSequence(AmlOpcode.Increment, target);

    /// <summary><c>target--</c>.</summary>
    public static AmlTerm Decrement(AmlTerm target) => new AmlSequence(AmlOpcode.Decrement, target);

    /// <summary><c>left + right</c>, also stored to <paramref name="target"/> if given.</summary>
    public static AmlTerm Add(AmlTerm left, AmlTerm right, AmlTerm? target = null) => Binary(AmlOpcode.Add, left, right, target);

    /// <summary><c>left - right</c>, also stored to <paramref name="target"/> if given.</summary>
    public static AmlTerm Subtract(AmlTerm left, AmlTerm right, AmlTerm? target = null) => Binary(AmlOpcode.Subtract, left, right, target);

    /// <summary><c>left * right</c>, also stored to <paramref name="target"/> if given.</summary>
    public static AmlTerm Multiply(AmlTerm left, AmlTerm right, AmlTerm? target = null) => Binary(AmlOpcode.Multiply, left, right, target);

    /// <summary><c>left &amp; right</c>, also stored to <paramref name="target"/> if given.</summary>
    public static AmlTerm And(AmlTerm left, AmlTerm right, AmlTerm? target = null) => Binary(AmlOpcode.And, left, right, target);

    /// <summary><c>left | right</c>, also stored to <paramref name="target"/> if given.</summary>
    public static AmlTerm Or(AmlTerm left, AmlTerm right, AmlTerm? target = null) => Binary(AmlOpcode.Or, left, right, target);

    /// <summary><c>value &lt;&lt; count</c>, also stored to <paramref name="target"/> if given.</summary>
    public static AmlTerm ShiftLeft(AmlTerm value, AmlTerm count, AmlTerm? target = null) =>
        Binary(AmlOpcode.ShiftLeft, value, count, target);

    /// <summary><c>value &gt;&gt; count</c>, also stored to <paramref name="target"/> if given.</summary>
    public static AmlTerm ShiftRight(AmlTerm value, AmlTerm count, AmlTerm? target = null) =>
        Binary(AmlOpcode.ShiftRight, value, count, target);

    /// <summary><c>Index (source, index)</c>: a reference to an element.</summary>
    public static AmlTerm Index(AmlTerm source, AmlTerm index) => Binary(AmlOpcode.Index, source, index, null);

    /// <summary><c>DerefOf (reference)</c>.</summary>
    public static AmlTerm DerefOf(AmlTerm reference) => new AmlSequence(AmlOpcode.DerefOf, reference);

    /// <summary><c>SizeOf (object)</c>.</summary>
    public static AmlTerm SizeOf(AmlTerm target) => new AmlSequence(AmlOpcode.SizeOf, target);

    /// <summary><c>ToInteger (value)</c>.</summary>
    public static AmlTerm ToInteger(AmlTerm value) => new AmlSequence(AmlOpcode.ToInteger, value, NullTarget);

    /// <summary><c>left == right</c>.</summary>
    public static AmlTerm Equal(AmlTerm left, AmlTerm right) => new AmlSequence(AmlOpcode.LogicalEqual, left, right);

    /// <summary><c>left &lt; right</c>.</summary>
    public static AmlTerm Less(AmlTerm left, AmlTerm right) => new AmlSequence(AmlOpcode.LogicalLess, left, right);

    /// <summary><c>left &gt; right</c>.</summary>
    public static AmlTerm Greater(AmlTerm left, AmlTerm right) => new AmlSequence(AmlOpcode.LogicalGreater, left, right);

    /// <summary><c>left &amp;&amp; right</c>.</summary>
    public static AmlTerm LogicalAnd(AmlTerm left, AmlTerm right) => new AmlSequence(AmlOpcode.LogicalAnd, left, right);

    /// <summary><c>left || right</c>.</summary>
    public static AmlTerm LogicalOr(AmlTerm left, AmlTerm right) => new AmlSequence(AmlOpcode.LogicalOr, left, right);

    /// <summary><c>!value</c>.</summary>
    public static AmlTerm LogicalNot(AmlTerm value) => new AmlSequence(AmlOpcode.LogicalNot, value);

    /// <summary><c>CreateDWordField (buffer, byteOffset, name)</c>.</summary>
    public static AmlTerm CreateDwordField(AmlTerm buffer, AmlTerm byteOffset, string name) =>
        new AmlSequence(AmlOpcode.CreateDwordField, buffer, byteOffset, Path(name));

    /// <summary><c>CreateQWordField (buffer, byteOffset, name)</c>.</summary>
    public static AmlTerm CreateQwordField(AmlTerm buffer, AmlTerm byteOffset, string name) =>
        new AmlSequence(AmlOpcode.CreateQwordField, buffer, byteOffset, Path(name));

    private static AmlSequence Binary(ushort opcode, AmlTerm left, AmlTerm right, AmlTerm? target) =>
        new(opcode, left, right, target ?? NullTarget);
}
