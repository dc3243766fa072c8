namespace Cnvm.Shim.Messages;

/// <summary>How a process is (containerd api/types/task/task.proto, Status).</summary>
internal enum ProcessStatus
{
    Unknown = 0,
    Created = 1,
    Running = 2,
    Stopped = 3,
    Paused = 4,
    Pausing = 5,
}
