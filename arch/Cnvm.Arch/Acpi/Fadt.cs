using Cnvm.Arch.Acpi.Aml;
using Cnvm.Arch.Firmware;
using Cnvm.Arch.Machine;

namespace Cnvm.Arch.Acpi;

/// <summary>The Fixed ACPI Description Table, revision 6, hardware-reduced (ACPI 6.5, 5.2.9): no SCI, no PM1 blocks, no FACS.</summary>
internal static class Fadt
{
    private const byte Revision = 6;
    private const byte MinorRevision = 5;
    private const byte ProfileEnterpriseServer = 4;

    // Fixed feature flags, table 5.10.
    private const uint FlagWbinvd = 1u << 0;
    private const uint FlagProcessorC1 = 1u << 2;
    private const uint FlagNoFixedPowerButton = 1u << 4;
    private const uint FlagNoFixedSleepButton = 1u << 5;
    private const uint FlagTimer32Bit = 1u << 8;
    private const uint FlagResetRegister = 1u << 10;
    private const uint FlagHardwareReduced = 1u << 20;

    // IA-PC boot architecture flags, table 5.11. The 8042 bit stays clear: a reset line at port 0x64 is not a keyboard controller, and
    // probing one costs a guest seconds.
    private const ushort BootNoVga = 1 << 2;
    private const ushort BootNoAspm = 1 << 4;
    private const ushort BootNoCmosRtc = 1 << 5;

    public static byte[] Build(AcpiMachine machine, AcpiLayout hardware, ulong dsdtAddress)
    {
        var writer = new TableWriter();
        AcpiTable.WriteHeader(writer, "FACP"u8, Revision);
        writer.Dword(0); // FIRMWARE_CTRL
        writer.Dword(0); // DSDT: X_DSDT is used
        writer.Byte(0);
        writer.Byte(ProfileEnterpriseServer);
        writer.Zeros(76 - 46); // SCI_INT to PM2_CNT_BLK
        writer.Dword(PmTimerPort(hardware));
        writer.Zeros(91 - 80); // GPE blocks, lengths
        writer.Byte((byte)(PmTimerPort(hardware) == 0 ? 0 : 4));
        writer.Zeros(109 - 92);
        writer.Word((ushort)(BootNoVga | BootNoAspm | (machine.HasRtc ? 0 : BootNoCmosRtc)));
        writer.Byte(0);
        writer.Dword(FlagWbinvd | FlagProcessorC1 | FlagNoFixedPowerButton | FlagNoFixedSleepButton | FlagTimer32Bit
            | FlagResetRegister | FlagHardwareReduced);
        WriteAddress(writer, hardware.Reset);
        writer.Byte(hardware.ResetValue);
        writer.Word(0); // ARM boot flags
        writer.Byte(MinorRevision);
        writer.Qword(0); // X_FIRMWARE_CTRL
        writer.Qword(dsdtAddress);
        writer.Zeros(208 - 148); // X_PM1a_EVT_BLK to X_PM2_CNT_BLK
        WriteAddress(writer, hardware.PmTimer);
        writer.Zeros(244 - 220); // X_GPE blocks
        WriteAddress(writer, hardware.SleepControl);
        WriteAddress(writer, hardware.SleepStatus);
        writer.FixedText(AcpiIdentity.HypervisorVendor, 8, (byte)' ');
        return AcpiTable.Finish(writer);
    }

    private static uint PmTimerPort(AcpiLayout hardware) =>
        hardware.PmTimer is { Space: AmlAddressSpace.SystemIo } timer ? (uint)timer.Address : 0;

    /// <summary>A Generic Address Structure (5.2.3.2); all zero for a register that does not exist.</summary>
    private static void WriteAddress(TableWriter writer, AcpiRegister? register)
    {
        if (register is null)
        {
            writer.Zeros(12);
            return;
        }

        writer.Byte((byte)register.Space);
        writer.Byte((byte)(register.Bytes * 8));
        writer.Byte(0);
        writer.Byte((byte)(1 + int.Log2(register.Bytes))); // access size: 1 byte is 1, 2 bytes are 2, ...
        writer.Qword(register.Address);
    }
}
