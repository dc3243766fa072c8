namespace Cnvm.Arch.Acpi.Aml;

/// <summary>An opcode, a PkgLength, then a head and a body that it covers: scopes, devices, methods, conditions, packages.</summary>
internal sealed class AmlBlock(ushort opcode, AmlTerm[] head, AmlTerm[] body) : AmlTerm
{
    internal override void Write(AmlWriter writer)
    {
        writer.Opcode(opcode);
        var start = writer.BeginPackage();
        foreach (var term in head)
        {
            term.Write(writer);
        }

        foreach (var term in body)
        {
            term.Write(writer);
        }

        writer.EndPackage(start);
    }
}
