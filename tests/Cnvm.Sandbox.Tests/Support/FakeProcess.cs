using System.Globalization;
using System.Threading.Channels;
using Cnvm.Agent.Protocol;

namespace Cnvm.Sandbox.Tests.Support;

/// <summary>A process of the fake agent: echoes, and ends with the code that its first argument is.</summary>
internal sealed class FakeProcess(Process process)
{
    private readonly Channel<byte[]> _input = Channel.CreateUnbounded<byte[]>();
    private readonly TaskCompletionSource<int> _exit = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public FakeOutput Output { get; } = new();

    public FakeOutput Errors { get; } = new();

    public Task<int> Exit => _exit.Task;

    /// <summary>What "flood" says at once, however little was asked for.</summary>
    public const int FloodBytes = 1 << 20;

    public void Run() => _ = Task.Run(async () =>
    {
        if (process.Args[0] == "flood")
        {
            Output.Add(new byte[FloodBytes]);
        }

        await foreach (byte[] data in _input.Reader.ReadAllAsync())
        {
            Output.Add(data);
        }

        if (!process.Terminal)
        {
            Errors.Add("err"u8.ToArray());
        }

        if (process.Args[0] is not ("hang" or "flood"))
        {
            End(int.Parse(process.Args[0], CultureInfo.InvariantCulture));
        }
    });

    public void Signal(int signal)
    {
        _input.Writer.TryComplete();
        End(128 + signal);
    }

    public void CloseInput() => _input.Writer.TryComplete();

    public Task<uint> WriteAsync(ReadOnlyMemory<byte> data)
    {
        // Never all of it at once, as a pipe that is nearly full.
        ReadOnlyMemory<byte> taken = data[..Math.Min(data.Length, 1000)];
        _input.Writer.TryWrite(taken.ToArray());
        return Task.FromResult((uint)taken.Length);
    }

    private void End(int code)
    {
        Output.End();
        Errors.End();
        _exit.TrySetResult(code);
    }
}
