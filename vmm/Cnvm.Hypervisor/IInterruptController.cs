using Cnvm.Arch;

namespace Cnvm.Hypervisor;

/// <summary>The local APICs' side of interrupt delivery. The I/O APIC and PIC are ordinary devices. Any thread.</summary>
public interface IInterruptController
{
    /// <summary>Delivers a message-signalled interrupt now.</summary>
    void SignalMsi(MsiMessage message);

    /// <summary>A route that other threads, or the kernel through an eventfd, can trigger.</summary>
    IMsiRoute CreateMsiRoute();

    /// <summary>
    /// Tells the backend what an I/O APIC pin sends, so that the end of a level-triggered interrupt is reported on the bus
    /// (<see cref="IVcpuBus.EndOfInterrupt"/>). Null: the pin is masked.
    /// </summary>
    /// <param name="pin">0 to <see cref="PartitionOptions.IoApicPins"/> - 1.</param>
    void SetIoApicRoute(int pin, MsiMessage? message);
}
