using Cnvm.GuestAgent.Stage;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Processes;

/// <summary>A process that is ready to become a container's program. Its owner disposes of what is not handed on.</summary>
/// <param name="Input">Null with a terminal.</param>
/// <param name="Output">With a terminal: its controlling side, for both directions.</param>
/// <param name="Errors">Null with a terminal.</param>
internal sealed record StagedProcess(
    int Id, Task<int> Exit, FileDescriptor Orders, FileDescriptor Reports, FileDescriptor? Input, FileDescriptor Output, FileDescriptor? Errors, bool HasTerminal)
{
    private const int LongestMilliseconds = 60_000;

    /// <summary>Has it become the program.</summary>
    /// <exception cref="StageException">The program cannot be executed.</exception>
    public void Start()
    {
        StageChannel.WriteMessage(Orders.Value, StageChannel.Ready, []);
        if (Poll.Wait([new PollEntry { Fd = Reports.Value, Events = PollEntry.In }], LongestMilliseconds) == 0)
        {
            throw new StageException($"the program was not executed within {LongestMilliseconds / 1000} seconds");
        }

        if (StageChannel.ReadMessage(Reports.Value) is { } failure)
        {
            throw new StageException(StageChannel.Text(failure.Content));
        }

        Orders.Dispose();
        Reports.Dispose();
    }
}
