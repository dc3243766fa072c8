namespace Cnvm.Hypervisor.State.Format;

/// <summary>
/// Goes through the elements of a state record. A record has one method that names each element once, with its number, name and
/// type, and builds the record from what the visitor returns: saving visits a record and returns what it was given, loading is given
/// nothing and returns what was saved. Not thread-safe.
/// </summary>
/// <remarks>
/// A number belongs to one element of its record for ever. What a later version adds is given a value for states that lack it
/// (<c>absent</c>), and is <c>ignorable</c> when an older program can do without it.
/// </remarks>
public abstract class StateVisitor
{
    public bool Bool(int number, string name, bool? value, bool? absent = null, bool ignorable = false) =>
        Scalar(number, name, ElementType.Bool, ToNumber(value), ToNumber(absent), ignorable) != 0;

    public byte U8(int number, string name, byte? value, byte? absent = null, bool ignorable = false) =>
        (byte)Scalar(number, name, ElementType.U8, value, absent, ignorable);

    public ushort U16(int number, string name, ushort? value, ushort? absent = null, bool ignorable = false) =>
        (ushort)Scalar(number, name, ElementType.U16, value, absent, ignorable);

    public uint U32(int number, string name, uint? value, uint? absent = null, bool ignorable = false) =>
        (uint)Scalar(number, name, ElementType.U32, value, absent, ignorable);

    public ulong U64(int number, string name, ulong? value, ulong? absent = null, bool ignorable = false) =>
        Scalar(number, name, ElementType.U64, value, absent, ignorable);

    public long I64(int number, string name, long? value, long? absent = null, bool ignorable = false) =>
        (long)Scalar(number, name, ElementType.I64, (ulong?)value, (ulong?)absent, ignorable);

    /// <summary>A number that may be missing: null writes nothing, and nothing reads as null.</summary>
    public abstract ulong? OptionalU64(int number, string name, ulong? value);

    public abstract string Text(int number, string name, string? value, string? absent = null, bool ignorable = false);

    public abstract byte[] Bytes(int number, string name, ReadOnlyMemory<byte>? value, bool ignorable = false);

    public abstract ulong[] U64List(int number, string name, IReadOnlyList<ulong>? value, bool ignorable = false);

    /// <summary>A nested record.</summary>
    public abstract T Record<T>(int number, string name, T? value, Func<StateVisitor, T?, T> describe)
        where T : class;

    /// <summary>A nested record that is a value type.</summary>
    public abstract T Record<T>(int number, string name, T? value, Func<StateVisitor, T?, T> describe)
        where T : struct;

    /// <summary>A nested record that may be missing: null writes nothing, and nothing reads as null.</summary>
    public abstract T? Optional<T>(int number, string name, T? value, Func<StateVisitor, T?, T> describe, bool ignorable = false)
        where T : class;

    public abstract T[] List<T>(int number, string name, IReadOnlyList<T>? value, Func<StateVisitor, T?, T> describe)
        where T : class;

    public abstract T[] ValueList<T>(int number, string name, IReadOnlyList<T>? value, Func<StateVisitor, T?, T> describe)
        where T : struct;

    /// <summary>
    /// A value that cannot be: throws while loading, where it comes from outside. Call it for what the type alone allows too much of.
    /// </summary>
    public abstract void Require(bool condition, string what);

    /// <summary>A number of a fixed width. <paramref name="value"/> is null while loading.</summary>
    protected abstract ulong Scalar(int number, string name, ElementType type, ulong? value, ulong? absent, bool ignorable);

    private static ulong? ToNumber(bool? value) => value is { } b ? (b ? 1u : 0u) : null;
}
