namespace Cnvm.Arch.Acpi.Aml;

/// <summary>Opcodes of ACPI 6.5, table 20.1. Two-byte opcodes carry the extended prefix 0x5B in their high byte.</summary>
internal static class AmlOpcode
{
    public const ushort Name = 0x08;
    public const ushort StringPrefix = 0x0D;
    public const ushort Scope = 0x10;
    public const ushort Buffer = 0x11;
    public const ushort Package = 0x12;
    public const ushort VarPackage = 0x13;
    public const ushort Method = 0x14;
    public const ushort Local0 = 0x60;
    public const ushort Arg0 = 0x68;
    public const ushort Store = 0x70;
    public const ushort Add = 0x72;
    public const ushort Subtract = 0x74;
    public const ushort Increment = 0x75;
    public const ushort Decrement = 0x76;
    public const ushort Multiply = 0x77;
    public const ushort ShiftLeft = 0x79;
    public const ushort ShiftRight = 0x7A;
    public const ushort And = 0x7B;
    public const ushort Or = 0x7D;
    public const ushort DerefOf = 0x83;
    public const ushort Notify = 0x86;
    public const ushort SizeOf = 0x87;
    public const ushort Index = 0x88;
    public const ushort CreateDwordField = 0x8A;
    public const ushort CreateQwordField = 0x8F;
    public const ushort LogicalAnd = 0x90;
    public const ushort LogicalOr = 0x91;
    public const ushort LogicalNot = 0x92;
    public const ushort LogicalEqual = 0x93;
    public const ushort LogicalGreater = 0x94;
    public const ushort LogicalLess = 0x95;
    public const ushort ToInteger = 0x99;
    public const ushort If = 0xA0;
    public const ushort Else = 0xA1;
    public const ushort While = 0xA2;
    public const ushort Return = 0xA4;
    public const ushort Break = 0xA5;
    public const ushort Mutex = 0x5B01;
    public const ushort Acquire = 0x5B23;
    public const ushort Release = 0x5B27;
    public const ushort OperationRegion = 0x5B80;
    public const ushort Field = 0x5B81;
    public const ushort Device = 0x5B82;
}
