using Cnvm.Arch;

namespace Cnvm.Devices.Interrupts;

/// <summary>Where devices and interrupt controllers send messages: the local APICs.</summary>
public interface IMsiController
{
    /// <summary>Delivers a message now. Any thread.</summary>
    void Signal(MsiMessage message);

    /// <summary>A vector for one MSI-X table entry; the caller disposes it.</summary>
    IMsiVector CreateVector();

    /// <summary>What an I/O APIC pin sends, so that the end of its level-triggered interrupt is reported; null: masked.</summary>
    void SetIoApicRoute(int pin, MsiMessage? message);
}
