using System.Text;

namespace Cnvm.Api.Http;

/// <summary>
/// A request's first line and headers, parsed strictly: where a lenient reading would let two programs disagree on where a request ends,
/// the request is refused (RFC 9112 §6.3, §11.2). Headers that the server does not know are ignored.
/// </summary>
internal sealed class HttpHead
{
    public string Method { get; private set; } = "";

    /// <summary>Absolute path; the scheme and host of an absolute form are dropped (RFC 9112 §3.2.2).</summary>
    public string Path { get; private set; } = "";

    public int ContentLength { get; private set; }

    /// <summary>The client waits for an interim answer before it sends the body.</summary>
    public bool ExpectsContinue { get; private set; }

    /// <summary>Bytes that the head takes, its empty line included.</summary>
    public int Length { get; private set; }

    /// <summary>Parses the head at the start of <paramref name="input"/>; null if it is not complete yet.</summary>
    /// <exception cref="HttpFormatException">It can never become a request that this server takes.</exception>
    public static HttpHead? TryParse(ReadOnlySpan<byte> input)
    {
        var head = new HttpHead();
        bool hasLength = false;
        for (int lineNumber = 0; ; lineNumber++)
        {
            ReadOnlySpan<byte> rest = input[head.Length..];
            int end = FindLineEnd(rest);
            if (end < 0)
            {
                return null;
            }

            head.Length += end + 2;
            ReadOnlySpan<byte> line = rest[..end];
            if (lineNumber == 0)
            {
                head.ParseRequestLine(line);
            }
            else if (line.IsEmpty)
            {
                return head;
            }
            else if (lineNumber > HttpLimits.Headers)
            {
                throw new HttpFormatException($"more than {HttpLimits.Headers} headers");
            }
            else
            {
                head.ParseHeader(line, ref hasLength);
            }
        }
    }

    /// <summary>Bytes before the next CR LF; -1 if it has not come yet.</summary>
    private static int FindLineEnd(ReadOnlySpan<byte> rest)
    {
        int end = rest.IndexOfAny((byte)'\r', (byte)'\n');
        if (end > HttpLimits.Line || (end < 0 && rest.Length > HttpLimits.Line))
        {
            throw new HttpFormatException($"a line has more than {HttpLimits.Line} bytes");
        }

        if (end < 0 || (rest[end] == '\r' && end + 1 == rest.Length))
        {
            return -1;
        }

        if (rest[end] != '\r' || rest[end + 1] != '\n')
        {
            throw new HttpFormatException("a line does not end with CR LF");
        }

        return end;
    }

    private void ParseRequestLine(ReadOnlySpan<byte> line)
    {
        int first = line.IndexOf((byte)' ');
        int last = line.LastIndexOf((byte)' ');
        if (first <= 0 || last <= first + 1)
        {
            throw new HttpFormatException("the request line is not METHOD PATH VERSION");
        }

        ReadOnlySpan<byte> method = line[..first];
        ReadOnlySpan<byte> target = line[(first + 1)..last];
        ReadOnlySpan<byte> version = line[(last + 1)..];
        foreach (byte b in method)
        {
            if (b is < (byte)'A' or > (byte)'Z')
            {
                throw new HttpFormatException("the method is not a word in capital letters");
            }
        }

        foreach (byte b in target)
        {
            if (b is <= (byte)' ' or >= 0x7f)
            {
                throw new HttpFormatException("the path has a character that must be escaped");
            }
        }

        if (!version.SequenceEqual("HTTP/1.1"u8) && !version.SequenceEqual("HTTP/1.0"u8))
        {
            throw new HttpFormatException("the version is neither HTTP/1.1 nor HTTP/1.0");
        }

        Method = Encoding.ASCII.GetString(method);
        Path = AbsolutePath(Encoding.ASCII.GetString(target));
    }

    private static string AbsolutePath(string target)
    {
        const string Scheme = "http://";
        if (!target.StartsWith(Scheme, StringComparison.Ordinal))
        {
            return target;
        }

        int slash = target.IndexOf('/', Scheme.Length);
        return slash < 0 ? "/" : target[slash..];
    }

    private void ParseHeader(ReadOnlySpan<byte> line, ref bool hasLength)
    {
        int colon = line.IndexOf((byte)':');
        if (colon <= 0)
        {
            throw new HttpFormatException("a header has no name or no colon");
        }

        ReadOnlySpan<byte> name = line[..colon];
        ReadOnlySpan<byte> value = line[(colon + 1)..].Trim(" \t"u8);
        foreach (byte b in name)
        {
            if (!IsTokenCharacter(b))
            {
                throw new HttpFormatException("a header's name has a character that names do not have");
            }
        }

        foreach (byte b in value)
        {
            if ((b < ' ' && b != '\t') || b == 0x7f)
            {
                throw new HttpFormatException("a header's value has a control character");
            }
        }

        if (Ascii.EqualsIgnoreCase(name, "content-length"u8))
        {
            if (hasLength)
            {
                throw new HttpFormatException("Content-Length is given twice");
            }

            hasLength = true;
            ContentLength = ParseLength(value);
        }
        else if (Ascii.EqualsIgnoreCase(name, "transfer-encoding"u8))
        {
            throw new HttpFormatException("Transfer-Encoding is not taken: send Content-Length");
        }
        else if (Ascii.EqualsIgnoreCase(name, "expect"u8))
        {
            ExpectsContinue = Ascii.EqualsIgnoreCase(value, "100-continue"u8)
                ? true
                : throw new HttpFormatException("Expect is taken with 100-continue only");
        }
    }

    private static int ParseLength(ReadOnlySpan<byte> value)
    {
        int length = 0;
        if (value.IsEmpty)
        {
            throw new HttpFormatException("Content-Length is empty");
        }

        foreach (byte b in value)
        {
            if (b is < (byte)'0' or > (byte)'9')
            {
                throw new HttpFormatException("Content-Length is not a decimal number");
            }

            length = (length * 10) + (b - '0');
            if (length > HttpLimits.Body)
            {
                throw new HttpFormatException($"the body has more than {HttpLimits.Body} bytes");
            }
        }

        return length;
    }

    /// <summary>tchar of RFC 9110 §5.6.2.</summary>
    private static bool IsTokenCharacter(byte b) =>
        b is (>= (byte)'a' and <= (byte)'z') or (>= (byte)'A' and <= (byte)'Z') or (>= (byte)'0' and <= (byte)'9')
        || "!#$%&'*+-.^_`|~"u8.Contains(b);
}
