package ocsf

// Classes, category 0 (uncategorized), 1 (system) or 4 (network) in the thousands.
const (
	baseEvent       = 0
	fileActivity    = 1001
	processActivity = 1007
	networkActivity = 4001
	dnsActivity     = 4003
)

// Activities. other asks for an activity_name.
const (
	other = 99

	processLaunch    = 1
	processTerminate = 2

	fileCreate        = 1
	fileRead          = 2
	fileUpdate        = 3
	fileDelete        = 4
	fileRename        = 5
	fileSetAttributes = 6
	fileSetSecurity   = 7
	fileMount         = 12
	fileUnmount       = 13
	fileOpen          = 14

	networkOpen    = 1
	networkReset   = 3
	networkFail    = 4
	networkRefuse  = 5
	networkTraffic = 6
	networkListen  = 7

	dnsQuery = 1
)

// Other identifiers.
const (
	informational = 1 // severity_id

	launchFork = 2
	launchExec = 3

	fileUnknown     = 0
	fileRegular     = 1
	fileFolder      = 2
	fileLocalSocket = 5
	fileNamedPipe   = 6
	fileSymlink     = 7

	directionUnknown  = 0
	directionInbound  = 1
	directionOutbound = 2
	directionLocal    = 4

	boundaryLocalhost = 1

	osLinux = 200
	osOther = 99
)

// status_id
var (
	unknown = new(0)
	success = new(1)
	failure = new(2)
)

// event has the attributes of all classes that are used.
type event struct {
	ClassUID       int             `json:"class_uid"`
	CategoryUID    int             `json:"category_uid"`
	ActivityID     int             `json:"activity_id"`
	ActivityName   string          `json:"activity_name,omitempty"`
	TypeUID        int             `json:"type_uid"`
	Time           *int64          `json:"time"` // ms since 1970, as all times
	StartTime      *int64          `json:"start_time,omitempty"`
	EndTime        *int64          `json:"end_time,omitempty"`
	SeverityID     int             `json:"severity_id"`
	StatusID       *int            `json:"status_id,omitempty"`
	StatusCode     string          `json:"status_code,omitempty"`
	StatusDetail   string          `json:"status_detail,omitempty"`
	Message        string          `json:"message,omitempty"`
	Count          int             `json:"count,omitempty"`
	Actor          *actor          `json:"actor,omitempty"`
	Process        *process        `json:"process,omitempty"`
	LaunchTypeID   int             `json:"launch_type_id,omitempty"`
	ExitCode       *int            `json:"exit_code,omitempty"`
	File           *file           `json:"file,omitempty"`
	FileResult     *file           `json:"file_result,omitempty"`
	SrcEndpoint    *endpoint       `json:"src_endpoint,omitempty"`
	DstEndpoint    *endpoint       `json:"dst_endpoint,omitempty"`
	ConnectionInfo *connectionInfo `json:"connection_info,omitempty"`
	Query          *query          `json:"query,omitempty"`
	Enrichments    []enrichment    `json:"enrichments,omitempty"`
	Device         *device         `json:"device"`
	Metadata       metadata        `json:"metadata"`
	Unmapped       unmapped        `json:"unmapped,omitempty"`
}

type unmapped map[string]any

type metadata struct {
	Version        string   `json:"version"`
	Product        product  `json:"product"`
	Profiles       []string `json:"profiles"`
	LogName        string   `json:"log_name"`
	LogVersion     string   `json:"log_version,omitempty"`
	CorrelationUID string   `json:"correlation_uid,omitempty"`
	UID            string   `json:"uid"`
	Sequence       int      `json:"sequence"`
	Labels         []string `json:"labels"`
}

type product struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
	Version    string `json:"version,omitempty"`
}

// device has to have a name or an address of some kind.
type device struct {
	Name   string  `json:"name"`
	TypeID int     `json:"type_id"`
	OS     *system `json:"os,omitempty"`
}

type system struct {
	Name          string `json:"name"`
	Type          string `json:"type,omitempty"` // with type_id 99
	TypeID        int    `json:"type_id"`
	KernelRelease string `json:"kernel_release,omitempty"`
}

type actor struct {
	Process *process `json:"process,omitempty"`
	AppName string   `json:"app_name,omitempty"`
	AppUID  string   `json:"app_uid,omitempty"`
}

type process struct {
	PID              int32    `json:"pid"`
	UID              string   `json:"uid,omitempty"` // number and start time
	Name             string   `json:"name,omitempty"`
	CmdLine          string   `json:"cmd_line,omitempty"`
	File             *file    `json:"file,omitempty"`
	User             *user    `json:"user,omitempty"`
	WorkingDirectory string   `json:"working_directory,omitempty"`
	CreatedTime      *int64   `json:"created_time,omitempty"`
	TerminatedTime   *int64   `json:"terminated_time,omitempty"`
	Parent           *process `json:"parent_process,omitempty"`
}

type user struct {
	UID string `json:"uid"`
}

type file struct {
	Name      string `json:"name"`
	Path      string `json:"path,omitempty"`
	Type      string `json:"type,omitempty"` // with type_id 99
	TypeID    int    `json:"type_id"`
	Size      *int64 `json:"size,omitempty"`
	IsDeleted bool   `json:"is_deleted,omitempty"`
}

type endpoint struct {
	IP   string `json:"ip,omitempty"`
	Port *int   `json:"port,omitempty"`
	Name string `json:"name,omitempty"`
}

type connectionInfo struct {
	ProtocolName  string `json:"protocol_name,omitempty"`
	ProtocolNum   *int   `json:"protocol_num,omitempty"`
	ProtocolVerID int    `json:"protocol_ver_id,omitempty"`
	DirectionID   int    `json:"direction_id"`
	BoundaryID    int    `json:"boundary_id,omitempty"`
}

type query struct {
	Hostname string `json:"hostname"`
	Type     string `json:"type,omitempty"`
}

type enrichment struct {
	Name  string            `json:"name"`
	Value string            `json:"value"`
	Type  string            `json:"type"`
	Data  map[string]string `json:"data"`
}
