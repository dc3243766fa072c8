namespace Cnvm.Arch.Acpi.Aml;

/// <summary>
/// A node of an AML tree. Immutable; built with the factories of <see cref="AmlBuilder"/>, encoded by <see cref="Encode"/>.
/// </summary>
public abstract class AmlTerm
{
    private protected AmlTerm()
    {
    }

    /// <summary>The byte code of this node and everything below it (ACPI 6.5, chapter 20).</summary>
    public byte[] Encode()
    {
        var writer = new AmlWriter();
        Write(writer);
        return writer.ToArray();
    }

    internal abstract void Write(AmlWriter writer);

    /// <summary>An integer constant in its shortest encoding.</summary>
    public static implicit operator AmlTerm(ulong value) => new AmlInteger(value);

    /// <summary>An integer constant in its shortest encoding.</summary>
    public static implicit operator AmlTerm(uint value) => new AmlInteger(value);

    /// <summary>An integer constant in its shortest encoding. Must not be negative.</summary>
    public static implicit operator AmlTerm(int value) => new AmlInteger(checked((ulong)value));
}
