using Cnvm.Devices.Platform;

namespace Cnvm.Devices.Tests.Fakes;

/// <summary>Records what a guest asked of the machine.</summary>
internal sealed class RecordingMachine : IMachineEvents
{
    public List<string> Requests { get; } = [];

    public void RequestReset(string source) => Requests.Add($"reset by {source}");

    public void RequestShutdown(string source) => Requests.Add($"shutdown by {source}");

    public void RequestSleep(string source, int sleepType) => Requests.Add($"sleep {sleepType} by {source}");

    public void ReportPanic(PanicEvent panic) => Requests.Add($"panic {panic}");
}
