namespace Cnvm.Arch.Acpi.Aml;

/// <summary>Bytes that are already AML: ArgN, LocalN, strings, EISA ids, fixed lists.</summary>
internal sealed class AmlRaw(byte[] bytes) : AmlTerm
{
    internal override void Write(AmlWriter writer) => writer.Bytes(bytes);
}
