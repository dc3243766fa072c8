using System.Runtime.InteropServices;
using Cnvm.Cli.Output;
using Cnvm.Linux;
using Cnvm.Sandbox;

namespace Cnvm.Cli.Containers;

/// <summary>Joins this program's input, output and signals with a process of a container.</summary>
/// <param name="process">The process.</param>
/// <param name="interactive">It gets what comes in here; otherwise its input is at its end at once.</param>
internal sealed class ProcessTerminal(SandboxProcess process, bool interactive)
{
    private const int BufferBytes = 64 << 10;
    private const int StackBytes = 256 << 10;

    /// <summary>Until the process has ended and everything that it has said is written; returns its exit code.</summary>
    /// <exception cref="SandboxException">The sandbox ends first.</exception>
    public async Task<int> RunAsync()
    {
        bool raw = process.HasTerminal && interactive && Terminal.IsTerminal(Stdio.Stdin);
        using IDisposable? mode = raw ? Terminal.EnterRawMode(Stdio.Stdin) : null;
        using var signals = new ForwardedSignals(process, keys: !raw);
        if (process.HasTerminal)
        {
            await ForwardedSignals.ResizeAsync(process).ConfigureAwait(false);
        }

        if (interactive)
        {
            new Thread(PassInputOn, StackBytes) { IsBackground = true, Name = "input" }.Start();
        }
        else
        {
            await process.StandardInput.DisposeAsync().ConfigureAwait(false);
        }

        Task output = CopyAsync(process.StandardOutput, Stdio.Stdout);
        Task errors = CopyAsync(process.StandardError, Stdio.Stderr);
        int exitCode = await process.WaitAsync().ConfigureAwait(false);
        await Task.WhenAll(output, errors).ConfigureAwait(false);
        return exitCode;
    }

    private static async Task CopyAsync(Stream from, int to)
    {
        byte[] buffer = new byte[BufferBytes];
        int count;
        while ((count = await from.ReadAsync(buffer).ConfigureAwait(false)) > 0)
        {
            Stdio.Write(to, buffer.AsSpan(0, count));
        }
    }

    private void PassInputOn()
    {
        byte[] buffer = new byte[BufferBytes];
        try
        {
            while (true)
            {
                int count = FileIo.Read(Stdio.Stdin, buffer);
                if (count == -Errno.EAGAIN)
                {
                    Poll.Wait([new PollEntry { Fd = Stdio.Stdin, Events = PollEntry.In }], -1);
                    continue;
                }

                if (count <= 0)
                {
                    // At a terminal the guest's own one says when the input ends.
                    if (!process.HasTerminal)
                    {
                        process.StandardInput.Dispose();
                    }

                    return;
                }

                process.StandardInput.Write(buffer, 0, count);
            }
        }
        catch (SandboxException e) when (e.Kind is SandboxErrorKind.NotFound or SandboxErrorKind.Gone or SandboxErrorKind.Refused)
        {
            // Nobody reads any more: the process has closed its input, or ended, which its waiter says.
            return;
        }
    }

    private sealed class ForwardedSignals : IDisposable
    {
        private readonly List<PosixSignalRegistration> _registrations = [];

        public ForwardedSignals(SandboxProcess process, bool keys)
        {
            _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => Begin(ResizeAsync(process))));
            Forward(process, PosixSignal.SIGTERM, 15);
            Forward(process, PosixSignal.SIGHUP, 1);
            if (keys)
            {
                Forward(process, PosixSignal.SIGINT, 2);
                Forward(process, PosixSignal.SIGQUIT, 3);
            }
        }

        public static async Task ResizeAsync(SandboxProcess process)
        {
            if (process.HasTerminal && Terminal.TryGetSize(Stdio.Stdin, out ushort columns, out ushort rows) && columns > 0)
            {
                await process.ResizeAsync(columns, rows).ConfigureAwait(false);
            }
        }

        public void Dispose() => _registrations.ForEach(r => r.Dispose());

        private void Forward(SandboxProcess process, PosixSignal signal, int number) => _registrations.Add(PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            Begin(process.SignalAsync(number));
        }));

        /// <summary>What fails here, its process's end explains.</summary>
        private static void Begin(Task task) =>
            _ = task.ContinueWith(static t => _ = t.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
    }
}
