namespace Cnvm.Arch.Acpi.Aml;

/// <summary>An opcode (0: none) followed by its operands: most statements and expressions have this form.</summary>
internal sealed class AmlSequence(ushort opcode, params AmlTerm[] operands) : AmlTerm
{
    internal override void Write(AmlWriter writer)
    {
        if (opcode != 0)
        {
            writer.Opcode(opcode);
        }

        foreach (var operand in operands)
        {
            operand.Write(writer);
        }
    }
}
