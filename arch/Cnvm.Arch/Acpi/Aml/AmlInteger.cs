namespace Cnvm.Arch.Acpi.Aml;

/// <summary>An integer constant in its shortest form (20.2.3). Tables here have revision 2, so integers have 64 bits.</summary>
internal sealed class AmlInteger(ulong value) : AmlTerm
{
    internal override void Write(AmlWriter writer)
    {
        switch (value)
        {
            case 0:
                writer.Byte(0x00);
                break;
            case 1:
                writer.Byte(0x01);
                break;
            case ulong.MaxValue:
                writer.Byte(0xFF);
                break;
            case <= byte.MaxValue:
                writer.Byte(0x0A);
                writer.Byte((byte)value);
                break;
            case <= ushort.MaxValue:
                writer.Byte(0x0B);
                writer.Word((ushort)value);
                break;
            case <= uint.MaxValue:
                writer.Byte(0x0C);
                writer.Dword((uint)value);
                break;
            default:
                writer.Byte(0x0E);
                writer.Qword(value);
                break;
        }
    }
}
