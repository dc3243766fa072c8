using System.Text;
using Cnvm.Linux;

namespace Cnvm.Cli.Tests;

/// <summary>A server that answers what it was told to, in order, and keeps what it was asked.</summary>
internal sealed class FakeVmm : IDisposable
{
    private const int LimitMilliseconds = 30_000;
    private readonly UnixListener _listener;
    private readonly Queue<string> _answers;
    private readonly Thread _thread;
    private readonly EventFd _ending = new();

    /// <param name="answers">Whole HTTP answers; the last one is given again and again.</param>
    public FakeVmm(string path, params string[] answers)
    {
        _listener = UnixListener.Bind(path, 4);
        _answers = new Queue<string>(answers);
        _thread = new Thread(Serve) { IsBackground = true };
        _thread.Start();
    }

    /// <summary>Heads and bodies of the requests.</summary>
    public List<string> Requests { get; } = [];

    /// <summary>Paths of the files whose descriptors came along.</summary>
    public List<string> Files { get; } = [];

    public static string Answer(int status, string body = "") =>
        body.Length == 0 ? $"HTTP/1.1 {status} \r\nServer: Fake\r\n\r\n" : $"HTTP/1.1 {status} \r\nContent-Length: {body.Length}\r\n\r\n{body}";

    public void Dispose()
    {
        _ending.Signal();
        Assert.True(_thread.Join(LimitMilliseconds));
        _listener.Dispose();
        _ending.Dispose();
    }

    private void Serve()
    {
        while (Await(_listener.Fd))
        {
            using UnixStream? client = _listener.Accept();
            while (client is not null && ReadRequest(client) is { } request)
            {
                lock (Requests)
                {
                    Requests.Add(request);
                }

                string answer = _answers.Count > 1 ? _answers.Dequeue() : _answers.Peek();
                if (answer.Length == 0)
                {
                    break;
                }

                client.Send(Encoding.ASCII.GetBytes(answer));
            }
        }
    }

    private bool Await(int fd)
    {
        PollEntry[] entries = [new() { Fd = fd, Events = PollEntry.In }, new() { Fd = _ending.Fd, Events = PollEntry.In }];
        return Poll.Wait(entries, LimitMilliseconds) > 0 && entries[1].Returned == 0;
    }

    private string? ReadRequest(UnixStream client)
    {
        var text = new StringBuilder();
        byte[] buffer = new byte[65536];
        while (Await(client.Fd))
        {
            var descriptors = new List<FileDescriptor>();
            int count = client.Receive(buffer, descriptors);
            if (count <= 0)
            {
                return null;
            }

            foreach (FileDescriptor descriptor in descriptors)
            {
                Files.Add(File.ResolveLinkTarget($"/proc/self/fd/{descriptor.Value}", false)!.FullName);
                descriptor.Dispose();
            }

            text.Append(Encoding.UTF8.GetString(buffer, 0, count));
            string all = text.ToString();
            int head = all.IndexOf("\r\n\r\n", StringComparison.Ordinal);
            const string Length = "Content-Length: ";
            int at = all.IndexOf(Length, StringComparison.Ordinal);
            int body = at < 0 ? 0 : int.Parse(all[(at + Length.Length)..all.IndexOf('\r', at)], System.Globalization.CultureInfo.InvariantCulture);
            if (head >= 0 && all.Length >= head + 4 + body)
            {
                return all;
            }
        }

        return null;
    }
}
