namespace Cnvm.Arch.Acpi.Aml;

/// <summary>
/// Factories for AML terms, named after ASL. Meant for <c>using static</c>, so that a table reads like its ASL source.
/// Integers convert by themselves; names are <see cref="Path"/>, strings are <see cref="Text"/>.
/// </summary>
public static partial class AmlBuilder
{
    private static readonly AmlTerm[] None = [];
    private static readonly AmlTerm NullTarget = Raw(0x00);

    /// <summary>A reference to a named object; absolute from <c>\</c>, relative otherwise.</summary>
    public static AmlTerm Path(string path) => new AmlName(path);

    /// <summary>A string constant. ASCII without NUL.</summary>
    public static AmlTerm Text(string text)
    {
        var writer = new AmlWriter();
        writer.Opcode(AmlOpcode.StringPrefix);
        foreach (var c in text)
        {
            if (c is '\0' or > '\x7F')
            {
                throw new ArgumentException($"AML strings are ASCII: '{text}' holds U+{(int)c:X4}.", nameof(text));
            }

            writer.Byte((byte)c);
        }

        writer.Byte(0x00);
        return new AmlRaw(writer.ToArray());
    }

    /// <summary>A compressed EISA id such as PNP0A08: three letters and four hexadecimal digits (ACPI 6.5, 19.3.4).</summary>
    public static AmlTerm EisaId(string id)
    {
        if (id.Length != 7)
        {
            throw new ArgumentException($"'{id}' is not an EISA id: three letters and four hexadecimal digits are needed.", nameof(id));
        }

        uint vendor = 0;
        foreach (var c in id.AsSpan(0, 3))
        {
            if (c is < 'A' or > 'Z')
            {
                throw new ArgumentException($"'{id}' is not an EISA id: '{c}' is not an upper-case letter.", nameof(id));
            }

            vendor = (vendor << 5) | (uint)(c - 'A' + 1);
        }

        var product = Convert.FromHexString(id.AsSpan(3));

        // Always a DWord constant: the value is a byte string, big-endian.
        return Raw(0x0C, (byte)(vendor >> 8), (byte)vendor, product[0], product[1]);
    }

    /// <summary>A UUID as the 16-byte buffer of ToUUID.</summary>
    public static AmlTerm Uuid(Guid uuid) => Buffer(uuid.ToByteArray());

    /// <summary><c>Buffer () {...}</c>.</summary>
    public static AmlTerm Buffer(ReadOnlySpan<byte> bytes) =>
        new AmlBlock(AmlOpcode.Buffer, [bytes.Length], [new AmlRaw(bytes.ToArray())]);

    /// <summary><c>Package () {...}</c>. Above 255 elements the VarPackage form is used.</summary>
    public static AmlTerm Package(params AmlTerm[] elements) => elements.Length <= byte.MaxValue
        ? new AmlBlock(AmlOpcode.Package, [Raw((byte)elements.Length)], elements)
        : new AmlBlock(AmlOpcode.VarPackage, [elements.Length], elements);

    /// <summary><c>Name (name, value)</c>.</summary>
    public static AmlTerm Name(string name, AmlTerm value) => new AmlSequence(AmlOpcode.Name, Path(name), value);

    /// <summary><c>Scope (path) {...}</c>.</summary>
    public static AmlTerm Scope(string path, params AmlTerm[] body) => new AmlBlock(AmlOpcode.Scope, [Path(path)], body);

    /// <summary><c>Device (name) {...}</c>.</summary>
    public static AmlTerm Device(string name, params AmlTerm[] body) => new AmlBlock(AmlOpcode.Device, [Path(name)], body);

    /// <summary><c>Method (name, arguments, NotSerialized) {...}</c>.</summary>
    public static AmlTerm Method(string name, int arguments, params AmlTerm[] body) =>
        new AmlBlock(AmlOpcode.Method, [Path(name), Raw(MethodFlags(arguments))], body);

    /// <summary>
    /// <c>Method (name, arguments, Serialized) {...}</c>: needed where the method creates named objects or touches index registers.
    /// </summary>
    public static AmlTerm SerializedMethod(string name, int arguments, params AmlTerm[] body) =>
        new AmlBlock(AmlOpcode.Method, [Path(name), Raw((byte)(MethodFlags(arguments) | 0x08))], body);

    /// <summary><c>OperationRegion (name, space, offset, length)</c>.</summary>
    public static AmlTerm OperationRegion(string name, AmlAddressSpace space, AmlTerm offset, AmlTerm length) =>
        new AmlSequence(AmlOpcode.OperationRegion, Path(name), Raw((byte)space), offset, length);

    /// <summary><c>Field (region, access, NoLock, update) {...}</c>.</summary>
    public static AmlTerm Field(string region, AmlFieldAccess access, AmlFieldUpdate update, params AmlFieldUnit[] units)
    {
        var list = new AmlWriter();
        foreach (var (name, bits) in units)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(bits, 1);
            if (name is null)
            {
                list.Byte(0x00); // ReservedField
            }
            else
            {
                list.Bytes(AmlName.EncodeSegment(name));
            }

            list.FieldLength(bits);
        }

        var flags = (byte)((byte)access | ((byte)update << 5));
        return new AmlBlock(AmlOpcode.Field, [Path(region), Raw(flags)], [new AmlRaw(list.ToArray())]);
    }

    /// <summary>A named field of <paramref name="bits"/> bits.</summary>
    public static AmlFieldUnit Unit(string name, int bits) => new(name, bits);

    /// <summary>Bits of a field list that have no name.</summary>
    public static AmlFieldUnit Skip(int bits) => new(null, bits);

    /// <summary><c>Mutex (name, level)</c>.</summary>
    public static AmlTerm Mutex(string name, byte level = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(level, (byte)15);
        return new AmlSequence(AmlOpcode.Mutex, Path(name), Raw(level));
    }

    /// <summary><c>ResourceTemplate () {...}</c>: the descriptors, an end tag, in a buffer.</summary>
    public static AmlTerm ResourceTemplate(params AmlResource[] resources)
    {
        var list = new AmlWriter();
        foreach (var resource in resources)
        {
            list.Bytes(resource.Bytes);
        }

        // End tag (6.4.2.9). A checksum of zero stands for a good one.
        list.Byte(0x79);
        list.Byte(0x00);
        return Buffer(list.Written);
    }

    private static byte MethodFlags(int arguments)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(arguments, 7);
        ArgumentOutOfRangeException.ThrowIfNegative(arguments);
        return (byte)arguments;
    }

    private static AmlRaw Raw(params byte[] bytes) => new(bytes);
}
