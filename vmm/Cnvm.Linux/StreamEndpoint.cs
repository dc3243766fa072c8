using System.Globalization;

namespace Cnvm.Linux;

/// <summary>Where a byte stream is reached: <c>tcp:HOST:PORT</c> (an IPv6 address in brackets) or <c>unix:PATH</c>.</summary>
public sealed record StreamEndpoint
{
    private const string Tcp = "tcp:";
    private const string Unix = "unix:";

    private StreamEndpoint(string text) => Text = text;

    /// <summary>As it was given.</summary>
    public string Text { get; }

    /// <summary>The socket's path; null for TCP.</summary>
    public string? Path { get; private init; }

    /// <summary>Name or address; empty for a Unix socket.</summary>
    public string Host { get; private init; } = "";

    /// <summary>TCP port from 1; 0 for a Unix socket.</summary>
    public int Port { get; private init; }

    /// <summary>False if the text has neither form.</summary>
    public static bool TryParse(string text, out StreamEndpoint? endpoint)
    {
        ArgumentNullException.ThrowIfNull(text);
        endpoint = null;
        if (text.Contains('\0', StringComparison.Ordinal))
        {
            return false;
        }

        if (text.StartsWith(Unix, StringComparison.Ordinal) && text.Length > Unix.Length)
        {
            endpoint = new StreamEndpoint(text) { Path = text[Unix.Length..] };
        }
        else if (text.StartsWith(Tcp, StringComparison.Ordinal))
        {
            int colon = text.LastIndexOf(':');
            if (colon > Tcp.Length
                && ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) && port > 0)
            {
                string host = text[Tcp.Length..colon];
                bool isBracketed = host.StartsWith('[') && host.EndsWith(']');
                endpoint = new StreamEndpoint(text) { Host = isBracketed ? host[1..^1] : host, Port = port };
            }
        }

        return endpoint is not null;
    }

    public override string ToString() => Text;
}
