namespace Cnvm.Devices.Platform;

/// <summary>
/// What a guest asks of its machine through a device. Called on vCPU threads, some with a device's lock held: implementations
/// note the request, return at once, and act on it elsewhere.
/// </summary>
public interface IMachineEvents
{
    /// <summary>Reset of the whole machine.</summary>
    /// <param name="source">Which device, for the log.</param>
    void RequestReset(string source);

    /// <summary>Power off (ACPI S5).</summary>
    void RequestShutdown(string source);

    /// <summary>Another ACPI sleep state.</summary>
    /// <param name="sleepType">SLP_TYP as the guest wrote it, 0 to 7.</param>
    void RequestSleep(string source, int sleepType);

    /// <summary>The guest's kernel reports about itself.</summary>
    void ReportPanic(PanicEvent panic);
}
