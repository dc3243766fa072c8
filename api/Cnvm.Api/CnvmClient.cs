using System.Globalization;
using System.Text;
using Cnvm.Api.Json;
using Cnvm.Linux;
using Cnvm.Vmm;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Migration;

namespace Cnvm.Api;

/// <summary>A client of the REST API on one connection. Blocking; one thread at a time.</summary>
public sealed class CnvmClient : IDisposable
{
    private const int MaxAnswerBytes = 64 << 20;
    private readonly UnixStream _stream;
    private byte[] _buffer = new byte[4096];
    private int _length;

    private CnvmClient(UnixStream stream) => _stream = stream;

    /// <summary>How long an answer may take in milliseconds; -1 (the default) for as long as it does.</summary>
    public int TimeoutMilliseconds { get; set; } = -1;

    /// <summary>The connection, to poll for its end between calls; valid until disposed.</summary>
    public int Fd => _stream.Fd;

    /// <exception cref="LinuxException">Nobody serves <paramref name="socketPath"/>.</exception>
    public static CnvmClient Connect(string socketPath) => new(UnixStream.Connect(socketPath));

    public VmmPing Ping() => JsonBody.Read(Call("GET", "vmm.ping"), ApiJsonContext.Default.VmmPing);

    public VmInfo Info() => JsonBody.Read(Call("GET", "vm.info"), ApiJsonContext.Default.VmInfo);

    public IReadOnlyDictionary<string, IReadOnlyDictionary<string, ulong>> Counters() =>
        JsonBody.Read(Call("GET", "vm.counters"), ApiJsonContext.Default.Counters);

    /// <summary>The migration under way, or the last one.</summary>
    public MigrationInfo Migration() => JsonBody.Read(Call("GET", "vm.migration"), ApiJsonContext.Default.MigrationInfo);

    /// <summary>Moves the VM; returns when that is over.</summary>
    /// <param name="request">Body of <c>vm.send-migration</c>, with <c>wait</c>.</param>
    public MigrationInfo Migrate(ReadOnlySpan<byte> request) =>
        JsonBody.Read(Call("PUT", "vm.send-migration", request), ApiJsonContext.Default.MigrationInfo);

    /// <summary>As the VMM writes it.</summary>
    public static byte[] Write(MigrationInfo info) => JsonBody.Write(info, ApiJsonContext.Default.MigrationInfo);

    public void Create(VmConfig config) => Call("PUT", "vm.create", JsonBody.Write(config, ApiJsonContext.Default.VmConfig));

    public void Boot() => Call("PUT", "vm.boot");

    public void Pause() => Call("PUT", "vm.pause");

    public void Resume() => Call("PUT", "vm.resume");

    public void Reboot() => Call("PUT", "vm.reboot");

    public void PowerButton() => Call("PUT", "vm.power-button");

    public void Nmi() => Call("PUT", "vm.nmi");

    public void Shutdown() => Call("PUT", "vm.shutdown");

    public void Delete() => Call("PUT", "vm.delete");

    public void ShutdownVmm() => Call("PUT", "vmm.shutdown");

    /// <summary>Makes one call and returns the answer's body.</summary>
    /// <param name="endpoint">For example <c>vm.boot</c>.</param>
    /// <param name="descriptors">Sent along with the first byte.</param>
    /// <exception cref="ApiCallException">The VMM refused.</exception>
    /// <exception cref="LinuxException">The connection failed, or the answer took too long.</exception>
    public byte[] Call(string method, string endpoint, ReadOnlySpan<byte> body = default, ReadOnlySpan<int> descriptors = default)
    {
        string head = $"{method} /api/v1/{endpoint} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n";
        if (body.Length > 0)
        {
            head += string.Create(CultureInfo.InvariantCulture, $"Content-Type: application/json\r\nContent-Length: {body.Length}\r\n");
        }

        Send([.. Encoding.ASCII.GetBytes(head + "\r\n"), .. body], descriptors);
        (int status, byte[] answer) = ReceiveAnswer();
        const int FirstError = 300;
        return status < FirstError ? answer : throw new ApiCallException(endpoint, status, ErrorChain(answer));
    }

    public void Dispose() => _stream.Dispose();

    private void Send(ReadOnlySpan<byte> bytes, ReadOnlySpan<int> descriptors)
    {
        while (bytes.Length > 0)
        {
            int sent = _stream.Send(bytes, descriptors);
            if (sent <= 0)
            {
                // A server that refuses a request may close before it has read all of it: its answer says why.
                return;
            }

            bytes = bytes[sent..];
            descriptors = default;
        }
    }

    private (int Status, byte[] Body) ReceiveAnswer()
    {
        int headEnd;
        while ((headEnd = _buffer.AsSpan(0, _length).IndexOf("\r\n\r\n"u8)) < 0)
        {
            Fill();
        }

        string head = Encoding.ASCII.GetString(_buffer, 0, headEnd);
        int status = ParseStatus(head);
        int bodyLength = ParseLength(head);
        if (bodyLength > MaxAnswerBytes)
        {
            throw new LinuxException("the VMM's answer is too long", Errno.EIO);
        }

        int total = headEnd + 4 + bodyLength;
        while (_length < total)
        {
            Fill();
        }

        byte[] body = _buffer[(headEnd + 4)..total];
        _buffer.AsSpan(total, _length - total).CopyTo(_buffer);
        _length -= total;
        return (status, body);
    }

    private void Fill()
    {
        if (_length == _buffer.Length)
        {
            if (_length >= MaxAnswerBytes)
            {
                throw new LinuxException("the VMM's answer is too long", Errno.EIO);
            }

            Array.Resize(ref _buffer, _buffer.Length * 2);
        }

        Span<PollEntry> readable = [new PollEntry { Fd = _stream.Fd, Events = PollEntry.In }];
        if (Poll.Wait(readable, TimeoutMilliseconds) == 0)
        {
            throw new LinuxException("the VMM does not answer", Errno.ETIMEDOUT);
        }

        var unexpected = new List<FileDescriptor>();
        int count = _stream.Receive(_buffer.AsSpan(_length), unexpected);
        unexpected.ForEach(d => d.Dispose());
        if (count <= 0)
        {
            throw new LinuxException("the VMM closed the connection", Errno.ECONNRESET);
        }

        _length += count;
    }

    private static int ParseStatus(string head)
    {
        const int Start = 9;
        return head.Length >= Start + 3 && head.StartsWith("HTTP/1.1 ", StringComparison.Ordinal)
            && int.TryParse(head.AsSpan(Start, 3), NumberStyles.None, CultureInfo.InvariantCulture, out int status)
            ? status
            : throw new LinuxException("the VMM's answer is not HTTP", Errno.EIO);
    }

    private static int ParseLength(string head)
    {
        const string Name = "Content-Length: ";
        int start = head.IndexOf(Name, StringComparison.Ordinal);
        if (start < 0)
        {
            return 0;
        }

        start += Name.Length;
        int end = head.IndexOf('\r', start);
        ReadOnlySpan<char> digits = head.AsSpan(start, (end < 0 ? head.Length : end) - start);
        return int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out int length)
            ? length
            : throw new LinuxException("the VMM's answer is not HTTP", Errno.EIO);
    }

    private static string[] ErrorChain(byte[] body)
    {
        if (body.Length == 0)
        {
            return [];
        }

        try
        {
            return JsonBody.Read(body, ApiJsonContext.Default.StringArray);
        }
        catch (VmmException)
        {
            return [Encoding.UTF8.GetString(body)];
        }
    }
}
