using Cnvm.Devices;
using Cnvm.Devices.Pci;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Platform;

/// <content>Saved state.</content>
internal sealed partial class Chipset
{
    private const string Name = "chipset";

    /// <summary>The state; nothing changes. The machine is paused.</summary>
    public ChipsetState Save() => new()
    {
        IoApic = IoApic.Save(),
        Pic = Pic?.Save(),
        Pit = _pit?.Save(),
        Rtc = _rtc.Save(),
        Serial = _serial?.Save(),
        I8042 = _i8042.Save(),
        Ged = Ged?.Save(),
        PciHost = Pci?.Save(),
        HostBridge = _hostBridge?.Save(),
        PvPanic = _pvPanic?.Save(),
        GenerationId = GenerationId?.Save(),
        Hotplug = Hotplug?.Save(),
        MemoryHotplug = MemoryHotplug?.Save(),
        CpuHotplug = CpuHotplug?.Save(),
        ClockPage = ClockPage?.Save(),
    };

    /// <summary>
    /// Takes a saved state. VM time is set before, and so are the vCPUs: what a device raises now must not be overwritten. Functions
    /// behind the PCI host follow.
    /// </summary>
    /// <exception cref="DeviceStateException">It is of a machine with other devices, or damaged.</exception>
    public void Restore(ChipsetState state)
    {
        Require(Pic is null == state.Pic is null, nameof(state.Pic));
        Require(_pit is null == state.Pit is null, nameof(state.Pit));
        Require(_serial is null == state.Serial is null, nameof(state.Serial));
        Require(Ged is null == state.Ged is null, nameof(state.Ged));
        Require(Pci is null == state.PciHost is null, nameof(state.PciHost));
        Require(_hostBridge is null == state.HostBridge is null, nameof(state.HostBridge));
        Require(_pvPanic is null == state.PvPanic is null, nameof(state.PvPanic));
        Require(Hotplug is null == state.Hotplug is null, nameof(state.Hotplug));
        Require(MemoryHotplug is null == state.MemoryHotplug is null, nameof(state.MemoryHotplug));
        Require(CpuHotplug is null == state.CpuHotplug is null, nameof(state.CpuHotplug));
        Require(GenerationId is null == state.GenerationId is null, nameof(state.GenerationId));
        Require(ClockPage is null == state.ClockPage is null, nameof(state.ClockPage));
        IoApic.Restore(state.IoApic);
        Pic?.Restore(state.Pic!);
        _pit?.Restore(state.Pit!);
        _rtc.Restore(state.Rtc);
        _serial?.Restore(state.Serial!);
        _i8042.Restore(state.I8042);
        Ged?.Restore(state.Ged!);
        Pci?.Restore(state.PciHost!);
        _hostBridge?.Restore(state.HostBridge!);
        _pvPanic?.Restore(state.PvPanic!);
        GenerationId?.Restore(state.GenerationId!);
        Hotplug?.Restore(state.Hotplug!);
        MemoryHotplug?.Restore(state.MemoryHotplug!);
        CpuHotplug?.Restore(state.CpuHotplug!);
        ClockPage?.Restore(state.ClockPage!);
    }

    /// <summary>The host's end of the serial port may have waited for the device: call it once the machine runs.</summary>
    public void WakeSerial()
    {
        _serial?.OutputReady();
        _serial?.InputReady();
    }

    private static void Require(bool condition, string device)
    {
        if (!condition)
        {
            throw new DeviceStateException(Name, device, "either the saved machine has it and this one has not, or the other way");
        }
    }
}
