using System.Diagnostics;
using System.Text.Json;
using Cnvm.Shim.Sandboxes;

namespace Cnvm.Shim.Tests.Harness;

/// <summary>A process on this machine with pipes; what would be a terminal is one pipe.</summary>
internal sealed class ProcessOfContainer : IContainerProcess
{
    private readonly ProcessStartInfo _start;
    private readonly Task _machineEnded;
    private Process? _process;

    /// <param name="spec">An OCI process.</param>
    public ProcessOfContainer(JsonElement spec, Task machineEnded)
    {
        _machineEnded = machineEnded;
        string[] words = [.. spec.GetProperty("args").EnumerateArray().Select(a => a.GetString()!)];
        IsTerminal = spec.TryGetProperty("terminal", out JsonElement terminal) && terminal.GetBoolean();
        _start = new ProcessStartInfo("/bin/sh") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        _start.ArgumentList.Add("-c");
        _start.ArgumentList.Add(IsTerminal ? "exec \"$@\" 2>&1" : "exec \"$@\"");
        _start.ArgumentList.Add("sh");
        foreach (string word in words)
        {
            _start.ArgumentList.Add(word);
        }
    }

    public bool IsTerminal { get; }

    public (uint Width, uint Height) Size { get; private set; }

    public bool IsInputClosed { get; private set; }

    public bool HasRun => _process is not null;

    private Process Started => _process ?? throw new IOException("the process was not started");

    public void Start() => _process = Process.Start(_start)!;

    public async Task<int> WaitAsync(CancellationToken cancellation)
    {
        await Started.WaitForExitAsync(cancellation);
        return _machineEnded.IsCompleted || Started.ExitCode == 128 + Native.SigKill && await EndsAsync()
            ? throw new IOException("the virtual machine is gone")
            : Started.ExitCode;

        // Its processes are killed before it counts as ended.
        async Task<bool> EndsAsync() => await Task.WhenAny(_machineEnded, Task.Delay(200, cancellation)) == _machineEnded;
    }

    public Task SignalAsync(int signal, CancellationToken cancellation)
    {
        if (_process is not null && Native.Kill(_process.Id, signal) != 0)
        {
            throw new IOException("no such process");
        }

        return Task.CompletedTask;
    }

    public ValueTask<int> ReadOutputAsync(Memory<byte> buffer, CancellationToken cancellation) => ReadToEndAsync(Started.StandardOutput, buffer, cancellation);

    public ValueTask<int> ReadErrorAsync(Memory<byte> buffer, CancellationToken cancellation) =>
        IsTerminal ? throw new InvalidOperationException("a terminal has one output") : ReadToEndAsync(Started.StandardError, buffer, cancellation);

    public async ValueTask WriteInputAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        await Started.StandardInput.BaseStream.WriteAsync(bytes, cancellation);
        await Started.StandardInput.BaseStream.FlushAsync(cancellation);
    }

    public Task CloseInputAsync(CancellationToken cancellation)
    {
        IsInputClosed = true;
        Started.StandardInput.Close();
        return Task.CompletedTask;
    }

    public Task ResizeAsync(uint width, uint height, CancellationToken cancellation)
    {
        Size = (width, height);
        return Task.CompletedTask;
    }

    public void KillIfRunning()
    {
        if (_process is { HasExited: false } process)
        {
            Native.Kill(process.Id, Native.SigKill);
        }
    }

    /// <summary>Lets go of a pipe at its end, since there may be thousands.</summary>
    private static async ValueTask<int> ReadToEndAsync(StreamReader reader, Memory<byte> buffer, CancellationToken cancellation)
    {
        int read = await reader.BaseStream.ReadAsync(buffer, cancellation);
        if (read == 0)
        {
            reader.Dispose();
        }

        return read;
    }
}
